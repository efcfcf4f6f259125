"""A network that an emulated processor runs in time.

The demo's own network takes thirteen seconds a picture there; a counter that waits for pictures can't be pulled about a
hundred times with it. This one knows the rig's few trays: it averages the picture into 8 x 6 cells and weighs them, one
linear function a tray, which is 1 for that tray and 0 for the others. Everything before it (the camera, the sizes and
colours) and after it (head, votes, cart) is the counter's own. What it can't show is how well anything is recognised.
"""

import hashlib
import struct

from scenes import HEIGHT, PICTURE, WIDTH

# Of the network's input; the tray's own sides.
COLUMNS, ROWS, CELL = 80, 60, 10
# How sure it says it is of what it knows.
SURE = 0.97


def cells(nv12):
    """Mean red, green and blue of each cell, 0 to 1, as the network's pool has them: three planes."""
    across, down = COLUMNS // CELL, ROWS // CELL
    planes = [[0.0] * (across * down) for _ in range(3)]
    wide, high = WIDTH // across, HEIGHT // down
    for row in range(down):
        for column in range(across):
            luma = u = v = 0
            for y in range(row * high, (row + 1) * high, 4):
                at = y * WIDTH + column * wide
                luma += sum(nv12[at:at + wide])
                at = WIDTH * HEIGHT + y // 2 * WIDTH + column * wide
                u += sum(nv12[at:at + wide:2]) * 2
                v += sum(nv12[at + 1:at + wide:2]) * 2
            n = wide * (high // 4)
            luma, u, v = 1.164 * (luma / n - 16), u / n - 128, v / n - 128
            for plane, value in enumerate((luma + 1.596 * v, luma - 0.392 * u - 0.813 * v, luma + 2.017 * u)):
                planes[plane][row * across + column] = min(max(value, 0), 255) / 255
    return [value for plane in planes for value in plane]


def solve(matrix, right):
    """Gauss with a pivot; few unknowns."""
    n = len(matrix)
    rows = [list(row) + [value] for row, value in zip(matrix, right)]
    for i in range(n):
        pivot = max(range(i, n), key=lambda r: abs(rows[r][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for r in range(n):
            if r != i:
                factor = rows[r][i] / rows[i][i]
                rows[r] = [a - factor * b for a, b in zip(rows[r], rows[i])]
    return [rows[i][n] / rows[i][i] for i in range(n)]


def weights(pictures):
    """For each picture but the first (the empty tray) a linear function of the cells: 1 on it, 0 on the others."""
    seen = [cells(picture) for picture in pictures]
    mean = [sum(column) / len(seen) for column in zip(*seen)]
    centred = [[value - middle for value, middle in zip(one, mean)] for one in seen]
    kernel = [[sum(a * b for a, b in zip(one, other)) + (0.001 if one is other else 0.0) for other in centred] for one in centred]
    functions = []
    for n in range(1, len(seen)):
        alpha = solve(kernel, [float(k == n) - 1 / len(seen) for k in range(len(seen))])
        function = [sum(a * one[i] for a, one in zip(alpha, centred)) for i in range(len(mean))]
        functions.append((function, 1 / len(seen) - sum(f * m for f, m in zip(function, mean))))
    return functions


def write(folder, scenes, empty, names):
    """The engine's folder: model.onnx and manifest.toml."""
    functions = weights([empty.read_bytes()[:PICTURE]] + [scene.file.read_bytes()[:PICTURE] for scene in scenes])
    # One box a piece, side by side.
    boxes, pieces = [], []
    for tray, scene in enumerate(scenes):
        goods = [sku for sku, quantity in scene.lines for _ in range(quantity)]
        for n, sku in enumerate(goods):
            boxes.append((COLUMNS * (n + 1) / (len(goods) + 1), ROWS / 2, 10.0, 16.0))
            pieces.append((tray, names.index(sku)))
    spread = [[SURE if (tray, label) == piece else 0.0 for label in range(len(names)) for piece in pieces] for tray in range(len(scenes))]
    features = len(functions[0][0])
    nodes = [
        node("AveragePool", ["images"], "pooled", kernel_shape=[CELL, CELL], strides=[CELL, CELL]),
        node("Reshape", ["pooled", "flat"], "cells"),
        node("MatMul", ["cells", "weights"], "weighed"),
        node("Add", ["weighed", "bias"], "known"),
        node("Clip", ["known", "zero", "one"], "trays"),
        node("MatMul", ["trays", "pieces"], "spread"),
        node("Reshape", ["spread", "shape"], "scores"),
        node("Concat", ["boxes", "scores"], "output0", axis=1),
    ]
    constants = [
        floats("weights", [features, len(scenes)], [function[i] for i in range(features) for function, _ in functions]),
        floats("bias", [1, len(scenes)], [bias for _, bias in functions]),
        floats("zero", [], [0.0]), floats("one", [], [1.0]),
        floats("pieces", [len(scenes), len(names) * len(pieces)], [value for row in spread for value in row]),
        floats("boxes", [1, 4, len(boxes)], [box[i] for i in range(4) for box in boxes]),
        integers("flat", [1, features]), integers("shape", [1, len(names), len(pieces)]),
    ]
    graph = b"".join(field(1, one) for one in nodes) + field(2, b"rig") + b"".join(field(5, one) for one in constants)
    graph += field(11, value("images", [1, 3, ROWS, COLUMNS])) + field(12, value("output0", [1, 4 + len(names), len(boxes)]))
    model = number(1, 8) + field(7, graph) + field(8, field(1, b"") + number(2, 13))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model)
    labels = ", ".join(f'"{name}"' for name in names)
    (folder / "manifest.toml").write_text(f'''\
name = "rig"
task = "detect"
file = "model.onnx"
sha256 = "{hashlib.sha256(model).hexdigest()}"
licence = "Apache-2.0 OR MIT"
source = "written by scripts/lib/rig/engine.py"
precision = "fp32"

[input]
name = "images"
width = {COLUMNS}
height = {ROWS}
layout = "nchw"
colour = "rgb"
mean = [0.0, 0.0, 0.0]
scale = [0.00392156862745098, 0.00392156862745098, 0.00392156862745098]
fit = "letterbox"
pad = 114

[head]
kind = "yolo-v8"
output = "output0"

[thresholds]
score = 0.4
nms_iou = 0.55
sure = 0.7

[labels]
names = [{labels}]
''')


# As much of ONNX's protobuf as this takes.

def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def number(tag, n):
    return varint(tag << 3) + varint(n)


def field(tag, data):
    return varint(tag << 3 | 2) + varint(len(data)) + data


def node(kind, inputs, output, **attributes):
    made = b"".join(field(1, name.encode()) for name in inputs) + field(2, output.encode()) + field(3, output.encode()) + field(4, kind.encode())
    for name, values in attributes.items():
        if isinstance(values, list):
            body = b"".join(number(8, n) for n in values) + number(20, 7)
        else:
            body = number(3, values) + number(20, 2)
        made += field(5, field(1, name.encode()) + body)
    return made


def floats(name, shape, values):
    return b"".join(number(1, n) for n in shape) + number(2, 1) + field(8, name.encode()) + field(9, struct.pack(f"<{len(values)}f", *values))


def integers(name, values):
    return number(1, len(values)) + number(2, 7) + field(8, name.encode()) + field(9, struct.pack(f"<{len(values)}q", *values))


def value(name, shape):
    dims = b"".join(field(1, number(1, n)) for n in shape)
    return field(1, name.encode()) + field(2, field(1, number(1, 1) + field(2, dims)))
