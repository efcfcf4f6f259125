/* Plays raw pictures into vivid's output, from where its loop brings them to the camera that till reads.
 *   feed DEVICE SCENE WIDTH HEIGHT
 * SCENE is a file (or a link) of NV12 pictures, played round and round; another one behind the same name is taken at
 * the next picture, so that the tray changes as at a counter, without a gap. */
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFERS = 3 };

static void fail(const char *what) {
	perror(what);
	exit(1);
}

struct scene {
	ino_t inode;
	unsigned char *pictures;
	size_t bytes, at;
};

/* Takes what stands behind the name, when it is another file than before. */
static void look(struct scene *scene, const char *name, size_t picture) {
	struct stat now;
	int file = open(name, O_RDONLY);
	if (file < 0 || fstat(file, &now) < 0) fail(name);
	if (now.st_ino != scene->inode) {
		size_t bytes = (size_t)now.st_size / picture * picture, done = 0;
		unsigned char *pictures = malloc(bytes);
		if (!bytes || !pictures) fail("a scene without a picture");
		while (done < bytes) {
			ssize_t got = read(file, pictures + done, bytes - done);
			if (got <= 0) fail(name);
			done += (size_t)got;
		}
		free(scene->pictures);
		*scene = (struct scene){now.st_ino, pictures, bytes, 0};
	}
	close(file);
}

int main(int argc, char **argv) {
	if (argc != 5) {
		fputs("feed DEVICE SCENE WIDTH HEIGHT\n", stderr);
		return 2;
	}
	int device = open(argv[1], O_RDWR);
	if (device < 0) fail(argv[1]);
	struct v4l2_format format = {.type = V4L2_BUF_TYPE_VIDEO_OUTPUT};
	format.fmt.pix.width = (unsigned)atoi(argv[3]);
	format.fmt.pix.height = (unsigned)atoi(argv[4]);
	format.fmt.pix.pixelformat = V4L2_PIX_FMT_NV12;
	format.fmt.pix.field = V4L2_FIELD_NONE;
	if (ioctl(device, VIDIOC_S_FMT, &format) < 0) fail("VIDIOC_S_FMT");
	size_t picture = format.fmt.pix.sizeimage;
	struct v4l2_requestbuffers wanted = {.count = BUFFERS, .type = format.type, .memory = V4L2_MEMORY_MMAP};
	if (ioctl(device, VIDIOC_REQBUFS, &wanted) < 0 || wanted.count > 8) fail("VIDIOC_REQBUFS");
	unsigned char *mapped[8];
	struct scene scene = {0};
	for (unsigned n = 0;; n++) {
		struct v4l2_buffer buffer = {.index = n, .type = format.type, .memory = V4L2_MEMORY_MMAP};
		if (n < wanted.count) {
			if (ioctl(device, VIDIOC_QUERYBUF, &buffer) < 0) fail("VIDIOC_QUERYBUF");
			mapped[n] = mmap(NULL, buffer.length, PROT_READ | PROT_WRITE, MAP_SHARED, device, buffer.m.offset);
			if (mapped[n] == MAP_FAILED) fail("mmap");
		} else if (ioctl(device, VIDIOC_DQBUF, &buffer) < 0) {
			fail("VIDIOC_DQBUF");
		}
		look(&scene, argv[2], picture);
		memcpy(mapped[buffer.index], scene.pictures + scene.at, picture);
		scene.at = (scene.at + picture) % scene.bytes;
		buffer.bytesused = (unsigned)picture;
		buffer.field = V4L2_FIELD_NONE;
		if (ioctl(device, VIDIOC_QBUF, &buffer) < 0) fail("VIDIOC_QBUF");
		if (n + 1 == wanted.count && ioctl(device, VIDIOC_STREAMON, &format.type) < 0) fail("VIDIOC_STREAMON");
	}
}
