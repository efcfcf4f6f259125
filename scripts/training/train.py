#!/usr/bin/python3
"""Trains a detector on pictures that are composed while it trains.

    train.py --data DIR --out RUN [--minutes 35 | --pictures 40000] [--from RUN/last.pt | --from engines/NAME/model.onnx]

Runs on the CPU, small pictures first (they are four times cheaper), full size last. `RUN/last.pt` is written every
two minutes and holds everything that is needed to go on (same command again); `RUN/log.txt` has the losses.
Convolutions count in bfloat16 (`--exact`: in FP32), which is twice as fast where the processor has AVX512-BF16.
"""
import argparse
import copy
import math
import pathlib
import pickle
import time
from dataclasses import replace

import cv2
import numpy as np
import torch

import assortment
import evaluate
import warm
from loss import detection_loss
from model import Detector, cells, flatten
from pictures import GENTLE, LEVELS, Composer, Style

# share of the budget, network input (h, w), picture inside it (w, h), batch
STAGES = ((0.25, (160, 224), (208, 156), 16), (0.35, (224, 288), (288, 216), 8), (0.40, (320, 416), (416, 312), 6))
PLAIN = 0.35  # share of scenes without strangers, hands and invented tables: whole trays of sold goods
WARM = 80     # steps in which only what a start engine did not have is trained
FRESH = 0.4  # share of pictures that are new scenes; the others are scenes of a moment ago under another camera


def pad(img, size):
    """A picture in the middle of the network's input, on the letterbox's grey."""
    h, w = size
    out = np.full((h, w, 3), evaluate.PAD, np.uint8)
    dy, dx = (h - img.shape[0]) // 2, (w - img.shape[1]) // 2
    out[dy:dy + img.shape[0], dx:dx + img.shape[1]] = img
    return out, dx, dy


class Threads:
    """Tries one thread and two for 12 steps each, keeps the faster for 150: two threads wait for each other where
    other work shares the cores."""

    def __init__(self):
        self.at, self.began, self.took = 0, 0.0, [0.0, 0.0]

    def step(self):
        turn, self.at = self.at, (self.at + 1) % 174
        if turn in (12, 24):
            self.took[turn // 12 - 1] = time.time() - self.began
        if turn in (0, 12):
            torch.set_num_threads(turn // 12 + 1)
            self.began = time.time()
        elif turn == 24:
            torch.set_num_threads(1 if self.took[0] < self.took[1] else 2)


class Stream(torch.utils.data.IterableDataset):
    """Endless composed pictures of one stage's size."""

    def __init__(self, store, stage, seed, style):
        self.store, self.stage, self.seed, self.style = store, stage, seed, style

    def __iter__(self):
        cv2.setNumThreads(1)
        worker = torch.utils.data.get_worker_info()
        _, size, inner, batch = self.stage
        composer = Composer(self.store, inner, self.style, seed=self.seed * 16 + (worker.id if worker else 0))
        scenes, turn = [], 0
        plain = replace(GENTLE, scale=(self.style.scale[0], self.style.scale[1]), light=self.style.light)
        while True:
            images = np.empty((batch, *size, 3), np.uint8)
            rows = []
            for i in range(batch):
                if len(scenes) < 48 or composer.rng.random() < FRESH:
                    composer.style = plain if composer.rng.random() < PLAIN else self.style
                    scenes[turn % 400:turn % 400 + 1] = [composer.scene()]
                    turn += 1
                img, boxes, labels = composer.again(scenes[(turn - 1) % 400] if composer.rng.random() < FRESH else scenes[composer.rng.integers(len(scenes))])
                images[i], dx, dy = pad(img, size)
                rows.append((boxes + np.float32([dx, dy, dx, dy]), labels))
            m = max(1, max(len(l) for _, l in rows))
            truth, classes, valid = np.zeros((batch, m, 4), np.float32), np.zeros((batch, m), np.int64), np.zeros((batch, m), bool)
            for i, (b, l) in enumerate(rows):
                truth[i, :len(l)], classes[i, :len(l)], valid[i, :len(l)] = b, l, True
            yield images, truth, classes, valid


def validate(net, store, pictures, scale):
    """mAP50 and cAcc of gently composed pictures from cutouts that training never saw."""
    composer = Composer(store, (416, 312), replace(GENTLE, scale=scale, unknown=0.3, hand=0.2), seed=99)
    raw, truths = [], []
    from model import Exported
    wrapped = Exported(copy.deepcopy(net).eval(), evaluate.HEIGHT, evaluate.WIDTH)
    levels = list(LEVELS.values())
    with torch.no_grad():
        for i in range(pictures):
            img, boxes, labels = composer.picture(levels[i % 3])
            img, dx, dy = pad(img, (evaluate.HEIGHT, evaluate.WIDTH))
            x = torch.from_numpy(np.ascontiguousarray(img[..., ::-1].transpose(2, 0, 1)[None])).float() / 255
            raw.append(wrapped(x)[0].numpy())
            truths.append((boxes + [dx, dy, dx, dy], labels))
    acc, score, nms = evaluate.fit(raw, truths, store.labels)
    s = evaluate.summary([evaluate.decode(o, 0.05, nms) for o in raw], truths, store.labels, score)
    return f"cAcc {acc:.3f} mAP50 {s['mAP50']:.4f} mmAP {s['mmAP']:.4f} wrong items {s['wrong_items']:.4f} (score {score}, nms {nms})"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=pathlib.Path, required=True)
    p.add_argument("--extra", type=pathlib.Path, help="folder of cutouts of other goods, used as unknown ones")
    p.add_argument("--out", type=pathlib.Path, required=True)
    budget = p.add_mutually_exclusive_group()
    budget.add_argument("--pictures", type=int, default=40000, help="budget in pictures of the largest size (repeatable)")
    budget.add_argument("--minutes", type=float, help="budget in time instead")
    p.add_argument("--from", dest="start", type=pathlib.Path, help="begin from these weights: a checkpoint (classes may differ) or an engine's model.onnx")
    p.add_argument("--skip", type=float, default=0.0, help="share of the schedule to leave out at the beginning")
    p.add_argument("--rate", type=float, default=2e-3)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--workers", type=int, default=1)
    p.add_argument("--threads", type=int, default=0, help="0: one or two, whichever is faster at the moment (other work may share the cores)")
    p.add_argument("--scale", type=float, nargs=2, default=Style.scale, help="limits of a pack's size against its cutout")
    p.add_argument("--tables", type=float, default=Style.invented_table, help="share of invented table tops")
    p.add_argument("--hands", type=float, default=0.18)
    p.add_argument("--unknown", type=float, default=0.45)
    p.add_argument("--focus", nargs="+", default=[], help="labels that are hard to tell apart")
    p.add_argument("--exact", action="store_true", help="all in FP32")
    p.add_argument("--validate-every", type=float, default=0.1, help="share of the budget")
    a = p.parse_args()
    torch.set_num_threads(a.threads or 2)
    torch.manual_seed(a.seed)
    cv2.setNumThreads(1)
    a.out.mkdir(parents=True, exist_ok=True)
    log = open(a.out / "log.txt", "a")

    def say(text):
        line = time.strftime("%H:%M:%S ", time.gmtime()) + text
        print(line, flush=True)
        log.write(line + "\n")
        log.flush()

    # Drawing the strangers takes a quarter of a minute: a training that goes on finds them in its folder.
    kept = a.out / "stores.pickle"
    if kept.exists():
        store, held = pickle.loads(kept.read_bytes())
    else:
        store, held = assortment.load("", a.data, "train", a.extra), assortment.load("", a.data, "val")
        kept.write_bytes(pickle.dumps((store, held)))
    net = Detector(len(store.labels))
    done, steps = a.skip, 0
    ema = copy.deepcopy(net)
    last = a.out / "last.pt"
    fresh = {n for n, _ in net.named_parameters()}
    if last.exists():
        fresh = set(torch.load(last, map_location="cpu")["fresh"])
    elif a.start and a.start.suffix == ".onnx":
        images = next(iter(Stream(store, (*STAGES[-1][:3], 24), a.seed, Style())))[0]
        fresh = set(warm.load(net, a.start, torch.as_tensor(images).flip(-1).permute(0, 3, 1, 2).contiguous().float() / 255))
        ema = copy.deepcopy(net)
        say(f"weights from {a.start}; new: {len(fresh)} tensors")
    net = net.to(memory_format=torch.channels_last)
    groups = [{"params": [q for n, q in net.named_parameters() if (q.ndim > 1) == wide and (n in fresh) == new],
               "weight_decay": 0.02 if wide else 0.0, "new": new} for wide in (True, False) for new in (True, False)]
    optimiser = torch.optim.AdamW([g for g in groups if g["params"]], lr=a.rate, betas=(0.9, 0.99))
    if last.exists():
        ck = torch.load(last, map_location="cpu")
        net.load_state_dict(ck["net"])
        ema.load_state_dict(ck["ema"])
        optimiser.load_state_dict(ck["optimiser"])
        done, steps = ck["done"], ck["steps"]
        say(f"going on at {done:.3f} of the budget")
    elif a.start and a.start.suffix != ".onnx":
        mine, theirs = net.state_dict(), torch.load(a.start, map_location="cpu")["ema"]
        same = {k: v for k, v in theirs.items() if k in mine and v.shape == mine[k].shape}
        net.load_state_dict(same, strict=False)
        ema = copy.deepcopy(net)
        say(f"{len(same)} of {len(mine)} tensors from {a.start}")
    source = f"trained by scripts/training/train.py on {a.data.name}"
    say(f"{len(store.labels)} labels, {[len(c) for c in store.cutouts]} cutouts, {sum(q.numel() for q in net.parameters()) / 1e6:.2f} M parameters")

    def save():
        tmp = last.with_suffix(".tmp")
        torch.save({"net": net.state_dict(), "ema": ema.state_dict(), "optimiser": optimiser.state_dict(), "done": done, "steps": steps, "fresh": sorted(fresh),
                    "config": net.config, "labels": store.labels, "source": source}, tmp)
        tmp.replace(last)

    style = Style(hand=a.hands, unknown=a.unknown, scale=tuple(a.scale), invented_table=a.tables, focus=tuple(store.labels.index(f) for f in a.focus))
    partly = any(not g["new"] for g in optimiser.param_groups)
    bounds = np.cumsum([s[0] for s in STAGES])
    stage, feed, seen = -1, None, 0
    began = saved = tick = time.time()
    origin, checked = done, done
    sums, n = np.zeros(4), 0
    threads = None if a.threads else Threads()
    while done < 1.0:
        if threads:
            threads.step()
        wanted = int(np.searchsorted(bounds, done, side="right").clip(0, len(STAGES) - 1))
        if wanted != stage:
            stage = wanted
            _, size, inner, batch = STAGES[stage]
            feed = iter(torch.utils.data.DataLoader(Stream(store, STAGES[stage], a.seed * 100 + stage * 10 + steps, style), batch_size=None,
                                                    num_workers=a.workers, prefetch_factor=4 if a.workers else 2))
            centres, strides = cells(*size)
            say(f"stage {stage}: input {size}, batch {batch}")
        images, truth, classes, valid = (torch.as_tensor(t) for t in next(feed))
        x = images.flip(-1).permute(0, 3, 1, 2).float().div(255).contiguous(memory_format=torch.channels_last)
        # One cosine over the whole budget, warm at the start.
        rate = a.rate * (0.02 + 0.98 * (1 + math.cos(math.pi * done)) / 2)
        for g in optimiser.param_groups:
            g["lr"] = rate * min(1.0, max(0, steps + 1 - (0 if g["new"] or not partly else WARM)) / 100)
        net.train()
        with torch.cpu.amp.autocast(enabled=not a.exact, dtype=torch.bfloat16):
            maps = net(x)
        box, cls = flatten(maps)
        value, parts = detection_loss(box, cls, centres, strides, truth, classes, valid)
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        optimiser.step()
        steps += 1
        seen += batch
        d = 0.998 * (1 - math.exp(-steps / 150))
        with torch.no_grad():
            for e, q in zip(ema.state_dict().values(), net.state_dict().values()):
                e.copy_(e * d + q * (1 - d) if e.dtype.is_floating_point else q)
        if a.minutes:
            done = origin + (1 - a.skip) * (time.time() - began) / (60 * a.minutes)
        else:
            done += batch * (size[0] * size[1]) / (HEIGHT_WIDTH * a.pictures)
        sums += [float(value), parts["box"], parts["dfl"], parts["cls"]]
        n += 1
        now = time.time()
        if n == 50:
            say(f"{done:.3f} step {steps} pictures {seen} loss {sums[0] / n:.3f} box {sums[1] / n:.4f} dfl {sums[2] / n:.4f} cls {sums[3] / n:.4f} rate {rate:.2e} {1000 * (now - tick) / n / batch:.0f} ms a picture, {torch.get_num_threads()} threads")
            sums, n, tick = np.zeros(4), 0, now
        if now - saved > 120 or done >= 1.0:
            save()
            saved = now
        if done - checked >= a.validate_every or done >= 1.0:
            checked = done
            say("val " + validate(ema, held, 90 if done < 1 else 300, style.scale))
            tick = time.time()
    say(f"end: {seen} pictures in {(time.time() - began) / 60:.1f} minutes")


HEIGHT_WIDTH = evaluate.HEIGHT * evaluate.WIDTH

if __name__ == "__main__":
    main()
