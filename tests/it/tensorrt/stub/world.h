// What every stub shares: planted faults, the count of what is alive, and CUDA's runtime.
//
// Beside the library may lie a file `faults`, read at each call; each line is a fault:
//   CALL [CODE [COUNT [AFTER]]]   the call fails, COUNT times (always without it), after AFTER good ones; CODE is
//                         CUDA's error, which sticks until the device is reset when it is one of those that do
//   device MAJOR MINOR INTEGRATED    the GPU that is played
// The file `live` beside it says how many objects and allocations there are.
#pragma once
#include <NvInfer.h>

#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

namespace {

std::string folder() {
    Dl_info info;
    dladdr(reinterpret_cast<void *>(&folder), &info);
    const std::string path = info.dli_fname;
    return path.substr(0, path.rfind('/'));
}

std::mutex mutex;
std::map<std::string, int> fired;
std::map<std::string, int> alive;
int sticky = 0;

void count(const char *what, int change) {
    std::lock_guard<std::mutex> lock(mutex);
    alive[what] += change;
    std::ofstream file(folder() + "/live");
    for (const auto &pair : alive) file << pair.first << ' ' << pair.second << '\n';
}

/// The fault planted for `call`: CUDA's code, or -1 for one without; 0 for none.
int fault(const std::string &call) {
    std::lock_guard<std::mutex> lock(mutex);
    std::ifstream file(folder() + "/faults");
    std::string line;
    while (std::getline(file, line)) {
        std::istringstream words(line);
        std::string name;
        int code = -1, times = 1 << 30, after = 0;
        words >> name;
        if (name != call) continue;
        if (!(words >> code)) code = -1;
        if (!(words >> times)) times = 1 << 30;
        if (!(words >> after)) after = 0;
        const int call_number = fired[call]++;
        if (call_number < after || call_number - after >= times) continue;
        if (code >= 700 && call != "numbers") sticky = code;
        return code;
    }
    return 0;
}

/// As above for CUDA's functions, where every call fails once the device is lost.
int cuda(const char *call) {
    const int code = fault(call);
    if (code != 0) return code < 0 ? 1 : code;
    return sticky;
}

void device(int *major, int *minor, int *integrated) {
    *major = 8, *minor = 7, *integrated = 0;
    std::ifstream file(folder() + "/faults");
    std::string line, word;
    while (std::getline(file, line)) {
        std::istringstream words(line);
        if (words >> word && word == "device") words >> *major >> *minor >> *integrated;
    }
}

class Counted {
public:
    explicit Counted(const char *what) : what_(what) { count(what_, 1); }
    ~Counted() { count(what_, -1); }

private:
    const char *what_;
};

void say(nvinfer1::ILogger *logger, nvinfer1::ILogger::Severity severity, const std::string &text) {
    logger->log(severity, text.c_str());
}

/// A builder that gets its numbers wrong, as FP16 on some boards did: by a planted number of thousandths.
void wrong(float *values, size_t n) {
    const int thousandths = fault("numbers");
    if (thousandths == 0) return;
    for (size_t i = 0; i < n; ++i) values[i] += thousandths < 0 ? 0.25F : static_cast<float>(thousandths) / 1000;
}

/// What a builder is told to do instead of building.
void misbehave() {
    if (fault("crash") != 0) abort();
    if (fault("hang") != 0) pause();
    if (fault("hog") != 0) {
        // More than any limit of a test, touched, and held until the watcher comes.
        static std::vector<std::string> held;
        for (int i = 0; i < 100000; ++i) held.emplace_back(1 << 20, 'x');
    }
}

} // namespace

extern "C" {

// CUDA's runtime. Device memory is plain memory here, so a forgotten copy shows as wrong numbers, not as a crash.
int cudaGetDeviceCount(int *n) { *n = fault("nogpu") != 0 ? 0 : 1; return cuda("cudaGetDeviceCount"); }
const char *cudaGetErrorString(int) { return "planted"; }
int cudaGetLastError() { return sticky; }
int cudaDeviceGetAttribute(int *value, int attribute, int) {
    int major, minor, integrated;
    device(&major, &minor, &integrated);
    switch (attribute) {
    case 75: *value = major; break;
    case 76: *value = minor; break;
    case 16: *value = 1; break;
    default: *value = integrated; break;
    }
    return cuda("cudaDeviceGetAttribute");
}
int cudaMemGetInfo(size_t *unused, size_t *total) {
    *unused = *total = size_t{3964} << 20;
    return cuda("cudaMemGetInfo");
}
int cudaDriverGetVersion(int *v) { *v = 10020; return 0; }
int cudaRuntimeGetVersion(int *v) { *v = 10020; return 0; }
int cudaDeviceReset() {
    const int code = fault("cudaDeviceReset");
    if (code == 0) sticky = 0;
    return code < 0 ? 1 : code;
}
int cudaStreamCreate(void **stream) {
    const int code = cuda("cudaStreamCreate");
    if (code != 0) return code;
    *stream = new int(0);
    count("streams", 1);
    return 0;
}
int cudaStreamDestroy(void *stream) {
    delete static_cast<int *>(stream);
    count("streams", -1);
    return 0;
}
int cudaStreamSynchronize(void *) { return cuda("cudaStreamSynchronize"); }
static int allocate(const char *call, void **at, size_t bytes) {
    const int code = cuda(call);
    if (code != 0) return code;
    // Filled, so that memory that is read before it is written shows.
    *at = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    memset(*at, 0x7f, bytes);
    count("allocations", 1);
    return 0;
}
int cudaMalloc(void **at, size_t bytes) { return allocate("cudaMalloc", at, bytes); }
int cudaHostAlloc(void **at, size_t bytes, unsigned) { return allocate("cudaHostAlloc", at, bytes); }
int cudaFree(void *at) { free(at); count("allocations", -1); return 0; }
int cudaFreeHost(void *at) { free(at); count("allocations", -1); return 0; }
int cudaHostGetDevicePointer(void **at, void *host, unsigned) { *at = host; return cuda("cudaHostGetDevicePointer"); }
int cudaMemcpyAsync(void *to, const void *from, size_t bytes, int, void *) {
    const int code = cuda("cudaMemcpyAsync");
    if (code == 0) memcpy(to, from, bytes);
    return code;
}
}
