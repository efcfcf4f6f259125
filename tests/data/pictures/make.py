#!/usr/bin/env python3
"""Makes one 48x32 picture (left red, right blue, lower right green) in every kind of file.  Needs Pillow."""
import pathlib, struct, zlib
from PIL import Image
here = pathlib.Path(__file__).parent
p = Image.new("RGB", (48, 32), (255, 0, 0))
p.paste((0, 0, 255), (24, 0, 48, 32)); p.paste((0, 255, 0), (24, 16, 48, 32))
p.save(here / "rgb.png"); p.convert("RGBA").save(here / "rgba.png"); p.convert("P", palette=Image.ADAPTIVE).save(here / "palette.png")
p.convert("L").save(here / "grey.png"); p.save(here / "rgb.jpg", quality=95, subsampling=0)
p.convert("CMYK").save(here / "cmyk.jpg", quality=95)
exif = Image.Exif(); exif[0x0112] = 6  # to be turned 90 degrees clockwise
p.transpose(Image.ROTATE_90).save(here / "rotated.jpg", exif=exif, quality=95, subsampling=0)
Image.new("RGB", (1, 1), (9, 8, 7)).save(here / "one.png")
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
rows = b"".join(b"\0" + b"".join(struct.pack(">HHH", *(v * 257 for v in p.getpixel((x, y)))) for x in range(48)) for y in range(32))
(here / "rgb16.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 48, 32, 16, 2, 0, 0, 0))
                                 + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))
