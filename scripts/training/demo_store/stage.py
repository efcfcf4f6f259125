"""The clips: who moves where and when, what the scale reads, what should come of it. Pure data and sums.

Times are seconds after the first frame, places Blender units on the tray (the camera sees +-2.8 by +-2.1; the shopper stands
at the lower edge), yaw in radians.
"""

import random
from dataclasses import dataclass, field

from products import BY_SKU

FPS = 15
SLIDE, CARRY, RETREAT = 0.55, 0.6, 0.34


@dataclass
class Actor:
    """A pack: hidden before its first key and after its last. Key: (t, x, y, yaw, lift)."""

    sku: str
    pose: str
    keys: list = field(default_factory=list)
    spin: float = 0.0
    grams: int = 0

    def __post_init__(self):
        self.grams = self.grams or BY_SKU[self.sku].mass_g

    def top(self):
        """How high the pack is as it lies."""
        w, h, d = (s / 10 for s in BY_SKU[self.sku].size)
        return {"stand": h, "under": h, "left": w, "right": w}.get(self.pose, d)


@dataclass
class Clip:
    name: str
    title: str
    seconds: float
    actors: list
    hands: list  # each a list of keys
    loads: list  # (t, grams that come or go)
    expect: dict
    light: tuple  # azimuth, strength, room
    hand: int = 0
    drift: float = 0.03


class Play:
    """Builds a clip move by move."""

    def __init__(self):
        self.actors, self.hands, self.loads = [], [], []

    def slide(self, t, sku, at, pose="front", side=-1, spin=0.0, grams=0, lift=0.0):
        x, y, yaw = at
        actor = Actor(sku, pose, [(t, 4.2 * side, y, yaw + 0.25 * side, lift), (t + SLIDE, x, y, yaw, lift)], spin, grams)
        self.actors.append(actor)
        self.loads.append((t + SLIDE * 0.75, actor.grams))
        return actor

    def carry(self, t, sku, at, pose="front", spin=0.0, grams=0):
        x, y, yaw = at
        actor = Actor(sku, pose, [(t, x + 0.3, -3.6, yaw - 0.3, 0.8), (t + CARRY * 0.8, x, y, yaw, 0.3), (t + CARRY, x, y, yaw, 0.0)], spin, grams)
        self.actors.append(actor)
        self.loads.append((t + CARRY, actor.grams))
        up = actor.top() + 0.06
        self.hands.append([(k[0], k[1], k[2] + 0.25, 0.12, k[4] + up) for k in actor.keys] + [(t + CARRY + RETREAT, x + 0.5, -2.7, 0.2, up + 0.4)])
        return actor

    def fetch(self, t, actor):
        """The hand comes, takes the pack and goes; returns when it's gone."""
        _, x, y, yaw, lift = actor.keys[-1]
        up = actor.top() + 0.06
        away = [(t, x, y, yaw, lift), (t + 0.12, x, y, yaw, lift + 0.3), (t + CARRY, x + 0.3, -3.6, yaw - 0.2, 0.8)]
        actor.keys += away
        self.hands.append([(t - RETREAT, x + 0.5, -2.7, 0.2, up + 0.4)] + [(k[0], k[1], k[2] + 0.25, 0.12, k[4] + up) for k in away])
        self.loads.append((t, -actor.grams))
        return t + CARRY

    def sweep(self, t):
        """All that lies there goes to the shopper."""
        for actor in self.actors:
            if len(actor.keys) and actor.keys[-1][4] < 0.7:
                _, x, y, yaw, lift = actor.keys[-1]
                actor.keys += [(t, x, y, yaw, lift), (t + SLIDE, x, y - 4.6, yaw + 0.2, lift)]
                self.loads.append((t + 0.1, -actor.grams))
        return t + SLIDE


def paid(*lines):
    total = sum(BY_SKU[sku].price_minor * n for sku, n in lines)
    return {"outcome": "paid", "total_minor": total, "line": lines}


def refused(reason):
    return {"outcome": "refused", "reason": reason, "line": ()}


def clips():
    made = []

    def add(name, title, play, end, expect, light, **more):
        made.append(Clip(name, title, end + 0.85, play.actors, play.hands, play.loads, expect, light, **more))

    p = Play()
    pack = p.carry(0.9, "hallabong-juice", (-0.3, 0.35, 0.5), "lie", 0.1)
    add("one-item", "One item", p, p.fetch(5.2, pack), paid(("hallabong-juice", 1)), (0.6, 2.0, 0.6), hand=0)

    p = Play()
    p.slide(0.9, "boseong-green-tea", (-1.55, 0.95, 0.2))
    p.slide(0.9, "flame-ramyeon", (1.5, 0.9, -0.25), side=1)
    p.slide(1.75, "east-sea-tuna", (-1.6, -0.85, 0.6), "stand")
    p.slide(1.75, "strawberry-puffs", (1.55, -0.75, 0.3), side=1)
    p.carry(2.5, "yuja-soda", (0.05, 0.0, 0.3), "stand")
    add("many-items", "Five different items", p, p.sweep(6.8), paid(("boseong-green-tea", 1), ("flame-ramyeon", 1),
        ("east-sea-tuna", 1), ("strawberry-puffs", 1), ("yuja-soda", 1)), (2.2, 2.2, 0.55), hand=1)

    p = Play()
    p.slide(0.9, "moonlight-choco-pie", (-1.1, 0.5, 0.15))
    p.carry(1.6, "moonlight-choco-pie", (0.9, -0.15, 1.2))
    add("two-of-the-same", "Two of the same", p, p.sweep(5.8), paid(("moonlight-choco-pie", 2)), (4.0, 1.8, 0.7), hand=2)

    p = Play()
    p.slide(0.9, "sunny-rice-flakes", (-1.2, 0.3, -0.2))
    pack = p.carry(1.55, "honey-potato-chips", (0.95, 0.2, 0.3))
    p.fetch(2.9, pack)
    add("item-put-back", "An item is put back", p, p.sweep(6.8), paid(("sunny-rice-flakes", 1)), (5.2, 2.1, 0.6), hand=3)

    p = Play()
    p.slide(0.9, "crispy-seaweed", (-0.95, 0.45, 0.25))
    p.slide(0.9, "ginseng-candy", (0.85, 0.35, -0.4), side=1)
    p.hands.append([(1.65, 0.3, -2.7, 0.1, 1.1), (2.0, -0.55, 0.6, 0.3, 0.75), (3.05, -0.55, 0.6, 0.3, 0.75), (3.4, 0.2, -2.7, 0.1, 1.1)])
    add("hand-in-the-way", "A hand in the way", p, p.sweep(6.6), paid(("crispy-seaweed", 1), ("ginseng-candy", 1)), (1.4, 1.9, 0.65), hand=0)

    p = Play()
    under = p.slide(0.9, "boseong-green-tea", (-0.2, 0.3, 0.1))
    over = p.slide(1.6, "honey-potato-chips", (0.35, 0.05, -0.35), side=1, lift=under.top())
    x, y, yaw = 1.35, -0.1, -0.2
    over.keys += [(3.7, 0.35, 0.05, -0.35, under.top()), (4.05, 1.15, 0.0, -0.25, 0.25), (4.25, x, y, yaw, 0.0)]
    up = over.top() + 0.06
    p.hands.append([(3.35, 1.0, -2.7, 0.1, 1.2)] + [(k[0], k[1], k[2] + 0.25, 0.1, k[4] + up) for k in over.keys[-3:]] + [(4.6, 1.7, -2.7, 0.1, 0.9)])
    add("overlap", "Packs overlap, then are spread", p, p.sweep(7.6), paid(("boseong-green-tea", 1), ("honey-potato-chips", 1)), (3.2, 2.0, 0.6), hand=1)

    p = Play()
    p.slide(0.9, "barley-tea", (-1.1, 0.4, 0.8), "lie", spin=0.2)
    pack = p.carry(1.55, "unseen-dog-biscuits", (0.85, 0.25, 0.15))
    add("unknown-item", "A product the store doesn't sell", p, p.sweep(5.7), refused("unknown_item"), (0.2, 2.1, 0.6), hand=2)

    p = Play()
    p.slide(0.9, "sunny-rice-flakes", (0.1, 0.3, 0.35), grams=205)
    add("too-light", "A pack lighter than its label says", p, p.sweep(4.9), refused("mass_mismatch"), (2.8, 1.7, 0.7), drift=0.07)

    p = Play()
    pack = p.carry(0.9, "ginseng-candy", (-0.1, 0.2, -0.3), grams=262)
    add("too-heavy", "A pack heavier than its label says", p, p.fetch(5.2, pack), refused("mass_mismatch"), (4.6, 2.2, 0.55), hand=3)
    p = Play()
    pack = p.carry(0.9, "unseen-detergent", (-0.1, 0.15, 0.2))
    add("unknown-alone", "Only a product the store doesn't sell", p, p.fetch(5.0, pack), refused("unknown_item"), (1.0, 1.9, 0.65), hand=0)
    return made


def at(keys, t):
    """The eased place at `t`, or None when out of the picture."""
    if t < keys[0][0] or t > keys[-1][0]:
        return None
    for a, b in zip(keys, keys[1:]):
        if t <= b[0]:
            f = 0.0 if b[0] == a[0] else (t - a[0]) / (b[0] - a[0])
            f = f * f * (3 - 2 * f)
            return tuple(round(p + (q - p) * f, 3) for p, q in zip(a[1:], b[1:]))
    return None


def state(clip, frame):
    """All places in a frame: equal states are rendered once."""
    t = frame / FPS
    packs = tuple(at(actor.keys, t) for actor in clip.actors)
    hand = next((place for place in (at(keys, t) for keys in clip.hands) if place), None)
    return packs, hand


def readings(clip):
    """Scale events (ms, grams): each change settles in 300 ms with an overshoot, then trembles by a gram or two (a spread of 3 g at most)."""
    rng = random.Random(clip.name)
    changes = sorted(clip.loads)
    events, weight = [], 0
    for i, (t, grams) in enumerate(changes):
        start = round(t * 1000)
        until = round(changes[i + 1][0] * 1000) if i + 1 < len(changes) else round(clip.seconds * 1000)
        after = weight + grams
        steps = [(0, 0.35), (80, 0.8), (160, 1.07), (240, 0.985), (320, 1.0)] if after else [(0, 0.5), (80, 0.9), (160, 1.0)]
        for offset, share in steps:
            if start + offset < until or (i + 1 < len(changes) and offset == 0):
                events.append((start + offset, round(weight + grams * share)))
        weight = after
        tick = start + 560
        while weight and tick < until:
            events.append((tick, weight + rng.choice([-1, -1, 0, 0, 0, 1, 1, 2])))
            tick += 240
    events.sort(key=lambda event: event[0])
    last = {}
    for ms, grams in events:
        last[ms] = grams
    return sorted(last.items())


def script(clip):
    """The clip's TOML."""
    gone = max(key[0] for actor in clip.actors for key in actor.keys)
    events = [(400, "presence = true"), (round(gone * 1000) + 200, "presence = false")]
    events += [(ms, f"load_g = {grams}") for ms, grams in readings(clip)]
    text = [f'title = "{clip.title}"', f'footage = "{clip.name}.mp4"']
    for ms, what in sorted(events):
        text += ["", "[[event]]", f"at_ms = {ms}", what]
    text += ["", "[expect]", f'outcome = "{clip.expect["outcome"]}"']
    for key in ("reason", "total_minor"):
        if key in clip.expect:
            value = clip.expect[key]
            text.append(f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}")
    for sku, quantity in clip.expect["line"]:
        text += ["", "[[expect.line]]", f'sku = "{sku}"', f"quantity = {quantity}"]
    return "\n".join(text) + "\n"
