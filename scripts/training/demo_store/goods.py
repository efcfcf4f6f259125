"""Meshes, lights and the counter's camera for Blender: the goods of `products.py`, a hand, a tray.

One Blender unit is 10 cm. A pack lies on its back: its front looks up (+z), its top points to +y.
The camera hangs 70 cm above the tray, tilted a little, and sees 56 x 42 cm as 640 x 480.
"""

import math
import random
import sys
from pathlib import Path

import bpy
from mathutils import Matrix, Vector

sys.path.insert(0, str(Path(__file__).parent))
from products import SKINS, SLEEVES  # noqa: E402

FRAME_W, FRAME_H, CAMERA_Z, VIEW_W = 640, 480, 7.0, 5.6


def linear(rgb):
    return tuple((c / 255 / 12.92) if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb) + (1.0,)


def material(name, image=None, colour=None, gloss=0.35):
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    shader = made.node_tree.nodes["Principled BSDF"]
    shader.inputs["Roughness"].default_value = 1 - gloss
    shader.inputs["Specular"].default_value = 0.25
    if image:
        node = made.node_tree.nodes.new("ShaderNodeTexImage")
        node.image = bpy.data.images.load(str(image), check_existing=True)
        made.node_tree.links.new(node.outputs["Color"], shader.inputs["Base Color"])
    else:
        shader.inputs["Base Color"].default_value = linear(colour)
    return made


def mesh_object(name, points, faces, materials, smooth=False):
    """`faces`: (indices, material, uv per corner)."""
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(points, [], [face[0] for face in faces])
    layer = mesh.uv_layers.new()
    for polygon, (_, slot, uvs) in zip(mesh.polygons, faces):
        polygon.material_index = slot
        polygon.use_smooth = smooth
        for corner, uv in zip(polygon.loop_indices, uvs):
            layer.data[corner].uv = uv
    for made in materials:
        mesh.materials.append(made)
    thing = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(thing)
    return thing


def box(product, art, name):
    w, h, d = (s / 20 for s in product.size)
    points = [(x, y, z) for z in (-d, d) for y in (-h, h) for x in (-w, w)]
    square = [(0, 0), (1, 0), (1, 1), (0, 1)]
    faces = [((4, 5, 7, 6), 0, square), ((1, 0, 2, 3), 1, square), ((5, 1, 3, 7), 2, square),
             ((0, 4, 6, 2), 2, square), ((6, 7, 3, 2), 3, square), ((0, 1, 5, 4), 3, square)]
    faces_of = [material(f"{name}-{face}", art / f"{face}.png") for face in ("front", "back", "side", "top")]
    thing = mesh_object(name, points, faces, faces_of)
    bevel = thing.modifiers.new("edge", "BEVEL")
    bevel.width, bevel.segments = 0.025, 2
    return thing


def bag(product, art, name, columns=22, rows=26):
    """A pillow with crimped ends and a few dents."""
    w, h, d = (s / 20 for s in product.size)
    dents = [(random.Random(name + str(i)).uniform(-0.7, 0.7), random.Random(name + "y" + str(i)).uniform(-0.7, 0.7)) for i in range(5)]
    points, faces = [], []
    for sheet, sign in ((0, 1), (1, -1)):
        for j in range(rows + 1):
            for i in range(columns + 1):
                u, v = i / columns * 2 - 1, j / rows * 2 - 1
                inner = max(0.0, 1 - (abs(v) / 0.88) ** 4) if abs(v) < 0.88 else 0.0
                bulge = (max(0.0, 1 - u ** 4) ** 0.5) * inner ** 0.6
                dent = sum(0.14 * math.exp(-((u - a) ** 2 + (v - b) ** 2) / 0.05) for a, b in dents)
                crimp = 0.012 * math.sin(i * 2.4) if inner == 0 else 0.03 * math.sin(u * 11 + v * 3) * (1 - inner)
                points.append((u * w * (1 - 0.07 * inner), v * h, sign * d * max(0.02, bulge - dent * bulge) + crimp))
        start = sheet * (rows + 1) * (columns + 1)
        for j in range(rows):
            for i in range(columns):
                a = start + j * (columns + 1) + i
                around = [a, a + 1, a + columns + 2, a + columns + 1]
                uv = [(i / columns, j / rows), ((i + 1) / columns, j / rows), ((i + 1) / columns, (j + 1) / rows), (i / columns, (j + 1) / rows)]
                if sign < 0:
                    around.reverse()
                    uv = [(1 - x, y) for x, y in reversed(uv)]
                faces.append((around, sheet, uv))
    return mesh_object(name, points, faces, [material(f"{name}-{f}", art / f"{f}.png", gloss=0.5) for f in ("front", "back")], True)


def turned(product, art, name, steps=40):
    """A can, tin or bottle: a profile turned around y."""
    r, h = product.size[0] / 20, product.size[1] / 20
    if product.kind == "bottle":
        rings = [(0.0, -h, 1), (r * 0.9, -h, 0), (r, -h * 0.94, 0), (r, h * 0.42, 0), (r * 0.86, h * 0.58, 0),
                 (r * 0.52, h * 0.76, 0), (r * 0.42, h * 0.82, 1), (r * 0.46, h * 0.82, 1), (r * 0.46, h * 0.985, 1), (r * 0.42, h, 1), (0.0, h, 1)]
    else:
        e = 0.06
        rings = [(0.0, -h, 1), (r - e, -h, 0), (r, -h + e, 0), (r, h - e, 0), (r - e, h, 2), (r - e, h - 0.03, 2), (0.0, h - 0.03, 2)]
    points, faces = [], []
    for radius, y, _ in rings:
        for k in range(steps):
            a = 2 * math.pi * k / steps
            points.append((radius * math.sin(a), y, radius * math.cos(a)))
    for ring in range(len(rings) - 1):
        slot = rings[ring][2]
        for k in range(steps):
            k2 = (k + 1) % steps
            corners = [ring * steps + k, ring * steps + k2, (ring + 1) * steps + k2, (ring + 1) * steps + k]
            if slot == 2:
                uv = [(0.5 + points[c][0] / r / 2, 0.5 - points[c][2] / r / 2) for c in corners]
            else:
                low, high = (rings[ring][1] / h + 1) / 2, (rings[ring + 1][1] / h + 1) / 2
                uv = [(k / steps, low), ((k + 1) / steps, low), ((k + 1) / steps, high), (k / steps, high)]
            faces.append((corners, slot, uv))
    slots = [material(f"{name}-wrap", art / "wrap.png", gloss=0.55), material(f"{name}-cap", colour=product.cap, gloss=0.4),
             material(f"{name}-lid", art / "lid.png", gloss=0.5)]
    return mesh_object(name, points, faces, slots, True)


def build(product, art, name=None):
    name = name or product.sku
    make = {"box": box, "bag": bag}.get(product.kind, turned)
    return make(product, Path(art) / product.sku, name)


def poses(kind):
    """Names of poses, as often as shoppers choose them."""
    return {"box": ["front"] * 4 + ["back"] * 2 + ["left", "right", "stand", "stand"], "bag": ["front"] * 3 + ["back"] * 2,
            "can": ["stand"] * 3 + ["lie"] * 2, "tin": ["stand"] * 4 + ["under"], "bottle": ["stand"] * 2 + ["lie"] * 3}[kind]


def turn(pose, yaw, spin=0.0):
    base = {"front": Matrix(), "back": Matrix.Rotation(math.pi, 4, "Y"), "left": Matrix.Rotation(math.pi / 2, 4, "Y"),
            "right": Matrix.Rotation(-math.pi / 2, 4, "Y"), "stand": Matrix.Rotation(math.pi / 2, 4, "X"),
            "under": Matrix.Rotation(-math.pi / 2, 4, "X"), "lie": Matrix.Rotation(spin, 4, "Y")}[pose]
    return Matrix.Rotation(yaw, 4, "Z") @ base


def place(thing, x, y, pose="front", yaw=0.0, spin=0.0, lift=0.0):
    rotation = turn(pose, yaw, spin)
    low = min((rotation @ v.co).z for v in thing.data.vertices)
    thing.matrix_world = Matrix.Translation((x, y, lift - low)) @ rotation
    thing.hide_render = False


def hide(thing):
    thing.hide_render = True


def hand(variant, name="hand"):
    """A right or left hand with forearm and sleeve; fingertips near the origin, the arm runs to -y."""
    rng = random.Random(f"hand{variant}")
    mirror = -1 if variant % 2 else 1
    spread, curl = rng.uniform(0.7, 1.3), rng.uniform(0.1, 0.5)
    balls = bpy.data.metaballs.new(name + "-flesh")
    balls.resolution = balls.render_resolution = 0.07
    balls.threshold = 0.12

    def limb(a, b, ra, rb):
        a, b = Vector(a), Vector(b)
        count = max(2, int((b - a).length / (min(ra, rb) * 0.55)))
        for i in range(count + 1):
            t = i / count
            element = balls.elements.new(type="BALL")
            element.co = a.lerp(b, t)
            element.radius = (ra + (rb - ra) * t) * 1.25

    for k, (x, length) in enumerate([(-0.33, 0.66), (-0.11, 0.8), (0.11, 0.84), (0.32, 0.74)]):
        fan = (k - 1.5) * 0.1 * spread
        knuckle, middle = Vector((x * mirror, -0.85, 0.1)), Vector(((x + fan) * mirror, -0.85 + length * 0.55, 0.12))
        tip = Vector(((x + fan * 1.5) * mirror, -0.85 + length, 0.1 - curl * 0.5))
        limb(knuckle, middle, 0.105, 0.095)
        limb(middle, tip, 0.095, 0.075)
    limb((0.3 * mirror, -1.5, 0.05), (0.62 * mirror, -1.1, 0.0), 0.16, 0.13)
    limb((0.62 * mirror, -1.1, 0.0), (0.66 * mirror, -0.72, -0.1), 0.12, 0.09)
    for x in (-0.26, 0.0, 0.24):
        limb((x * mirror * 0.8, -1.62, 0.08), (x * mirror, -0.85, 0.1), 0.17, 0.14)
    limb((0, -1.65, 0.1), (0, -2.1, 0.14), 0.23, 0.22)
    limb((0, -2.1, 0.14), (0, -3.6, 0.2), 0.24, 0.34)
    flesh = bpy.data.objects.new(name + "-flesh", balls)
    bpy.context.scene.collection.objects.link(flesh)
    bpy.context.view_layer.update()
    mesh = bpy.data.meshes.new_from_object(flesh.evaluated_get(bpy.context.evaluated_depsgraph_get()))
    bpy.data.objects.remove(flesh)
    mesh.materials.clear()
    mesh.materials.append(material(name + "-skin", colour=SKINS[variant % len(SKINS)], gloss=0.3))
    for polygon in mesh.polygons:
        polygon.use_smooth = True
    thing = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(thing)
    points, faces, steps = [], [], 24
    rings = [(-2.75, 0.36), (-2.8, 0.42), (-3.4, 0.46), (-4.2, 0.5), (-7.5, 0.62)]
    for y, r in rings:
        for k in range(steps):
            a = 2 * math.pi * k / steps
            points.append((r * math.sin(a), y + 0.02 * math.sin(3 * a), 0.18 + r * 0.9 * math.cos(a)))
    for ring in range(len(rings) - 1):
        for k in range(steps):
            k2 = (k + 1) % steps
            faces.append(([ring * steps + k, ring * steps + k2, (ring + 1) * steps + k2, (ring + 1) * steps + k], 0, [(0, 0)] * 4))
    sleeve = mesh_object(name + "-sleeve", points, faces, [material(name + "-cloth", colour=SLEEVES[variant % len(SLEEVES)], gloss=0.05)], True)
    sleeve.parent = thing
    return thing


def place_hand(thing, x, y, yaw, lift):
    """Fingertips at (x, y); `yaw` 0: the arm comes from the frame's lower edge."""
    thing.matrix_world = Matrix.Translation((x, y, lift)) @ Matrix.Rotation(yaw, 4, "Z")
    for part in (thing, *thing.children):
        part.hide_render = False


def hide_hand(thing):
    for part in (thing, *thing.children):
        part.hide_render = True


def light(azimuth, strength, world, tint=(1, 1, 1), height=1.0):
    """One big soft lamp and the room's light."""
    scene = bpy.context.scene
    lamp = bpy.data.objects.get("lamp")
    if lamp is None:
        lamp = bpy.data.objects.new("lamp", bpy.data.lights.new("lamp", "SUN"))
        scene.collection.objects.link(lamp)
        scene.world = bpy.data.worlds.new("room")
        scene.world.use_nodes = True
    lamp.data.angle = 0.35
    lamp.data.energy = strength
    lamp.data.color = tint
    lamp.rotation_euler = (0.5 * height, 0, azimuth)
    room = scene.world.node_tree.nodes["Background"].inputs
    room["Color"].default_value = (*tint, 1)
    room["Strength"].default_value = world


def studio(samples, transparent, width=FRAME_W, height=FRAME_H):
    """An empty scene with the counter's camera; a larger picture sees more at the same scale."""
    for thing in list(bpy.data.objects):
        bpy.data.objects.remove(thing)
    scene = bpy.context.scene
    scene.render.use_border = scene.render.use_crop_to_border = False
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    tilt = math.radians(4)
    camera.rotation_euler = (tilt, 0, 0)
    camera.location = (0, -CAMERA_Z * math.tan(tilt), CAMERA_Z)
    camera.data.angle = 2 * math.atan(VIEW_W / FRAME_W * width / 2 / CAMERA_Z)
    render = scene.render
    render.engine = "CYCLES"
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
    render.use_persistent_data = True
    render.film_transparent = transparent
    render.threads_mode, render.threads = "FIXED", 1
    render.image_settings.file_format = "PNG"
    render.image_settings.color_mode = "RGBA" if transparent else "RGB"
    render.image_settings.compression = 15
    scene.view_settings.view_transform = "Standard"
    cycles = scene.cycles
    cycles.device, cycles.samples, cycles.use_denoising = "CPU", samples, False
    cycles.use_adaptive_sampling = False
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 3, 2, 1
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.seed = 1
    return scene


def tray(art):
    half_w, half_h = 4.2, 3.15
    square = [(0, 0), (1, 0), (1, 1), (0, 1)]
    points = [(-half_w, -half_h, 0), (half_w, -half_h, 0), (half_w, half_h, 0), (-half_w, half_h, 0)]
    return mesh_object("tray", points, [((0, 1, 2, 3), 0, square)], [material("tray", Path(art) / "counter.png", gloss=0.1)])


def render(path):
    bpy.context.scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
