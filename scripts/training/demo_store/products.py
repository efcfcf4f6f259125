"""The demo store's goods: what they are called, cost, weigh and look like. Invented; any likeness is chance.

Pure data, read by the artwork (PIL), by the scenes (Blender) and by the clips' scripts. Sizes in centimetres
(width, height, depth of the pack lying on its back; a round pack has diameter, height, diameter).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Product:
    sku: str
    korean: str
    english: str
    price_minor: int
    mass_g: int
    mass_tolerance_g: int
    kind: str  # box | bag | can | tin | bottle
    size: tuple  # cm
    base: tuple  # RGB of the pack
    accent: tuple  # RGB of the pattern
    ink: tuple  # RGB of the type
    plate: tuple  # RGB of the label behind the type
    pattern: str
    cap: tuple = (200, 200, 205)


SOLD = [
    Product("boseong-green-tea", "보성 녹차", "Boseong Green Tea", 4800, 120, 8, "box", (9, 12, 5),
            (34, 112, 58), (142, 196, 84), (20, 70, 35), (240, 246, 222), "leaves"),
    Product("moonlight-choco-pie", "달빛 초코파이", "Moonlight Choco Pie", 5200, 390, 12, "box", (13, 9, 5),
            (22, 28, 84), (250, 214, 92), (255, 236, 160), (40, 46, 120), "moons"),
    Product("sunny-rice-flakes", "햇살 쌀플레이크", "Sunny Rice Flakes", 6500, 330, 12, "box", (10, 14, 5),
            (246, 140, 28), (255, 214, 60), (150, 50, 10), (255, 246, 214), "rays"),
    Product("ginseng-candy", "인삼 캔디", "Ginseng Candy", 3500, 150, 8, "box", (8, 8, 4),
            (150, 16, 36), (222, 176, 70), (150, 16, 36), (248, 232, 190), "lattice"),
    Product("crispy-seaweed", "바삭 김칩", "Crispy Seaweed", 2300, 60, 6, "bag", (10, 13, 3.2),
            (8, 92, 100), (70, 190, 180), (255, 255, 255), (4, 52, 60), "waves"),
    Product("honey-potato-chips", "꿀감자칩", "Honey Potato Chips", 1900, 90, 7, "bag", (11, 14, 4),
            (252, 208, 34), (226, 154, 12), (110, 56, 8), (255, 250, 226), "hexagons"),
    Product("flame-ramyeon", "불꽃 라면", "Flame Ramyeon", 1200, 125, 8, "bag", (12, 11, 3.4),
            (214, 26, 26), (28, 16, 14), (255, 232, 70), (120, 8, 10), "flames"),
    Product("strawberry-puffs", "딸기 쌀과자", "Strawberry Puffs", 2800, 75, 6, "bag", (10, 12, 3.6),
            (250, 160, 190), (255, 246, 250), (196, 20, 74), (255, 240, 245), "dots"),
    Product("yuja-soda", "유자 소다", "Yuja Soda", 1600, 375, 10, "can", (6.4, 11.5, 6.4),
            (196, 224, 40), (255, 255, 255), (24, 100, 30), (250, 255, 220), "bubbles", (186, 214, 60)),
    Product("east-sea-tuna", "동해 참치", "East Sea Tuna", 3200, 185, 8, "tin", (8.4, 3.6, 8.4),
            (20, 96, 196), (140, 206, 250), (255, 255, 255), (10, 50, 130), "waves", (20, 96, 196)),
    Product("hallabong-juice", "한라봉 주스", "Hallabong Juice", 2400, 265, 10, "bottle", (6.4, 15, 6.4),
            (255, 122, 10), (255, 190, 70), (255, 255, 255), (30, 120, 60), "dots", (30, 130, 64)),
    Product("barley-tea", "구수한 보리차", "Barley Tea", 1700, 525, 14, "bottle", (6.8, 17, 6.8),
            (112, 66, 28), (206, 158, 92), (92, 50, 18), (246, 230, 200), "stripes", (240, 236, 226)),
]

# Goods the store doesn't sell, shown to the detector as "something else".
UNSOLD_TRAINING = [
    Product("unknown-soap", "라벤더 비누", "Lavender Soap", 0, 110, 8, "box", (10, 7, 4),
            (150, 120, 200), (222, 206, 246), (70, 40, 120), (245, 240, 255), "stripes"),
    Product("unknown-coffee", "산골 커피", "Hill Coffee", 0, 200, 8, "bag", (9, 14, 4),
            (60, 40, 34), (196, 150, 110), (240, 220, 190), (34, 22, 18), "lattice"),
    Product("unknown-cola", "블랙 콜라", "Black Cola", 0, 370, 8, "can", (6.4, 11.5, 6.4),
            (24, 24, 28), (210, 30, 40), (255, 255, 255), (60, 60, 66), "bubbles", (190, 190, 196)),
    Product("unknown-shampoo", "바다 샴푸", "Ocean Shampoo", 0, 420, 8, "bottle", (6.6, 16, 6.6),
            (60, 196, 206), (220, 250, 250), (10, 80, 110), (240, 255, 255), "waves", (250, 250, 250)),
]

# Goods the store doesn't sell and the detector has never seen: clips only.
UNSOLD_CLIPS = [
    Product("unseen-dog-biscuits", "멍멍 비스킷", "Dog Biscuits", 0, 300, 8, "box", (10, 13, 5),
            (150, 154, 160), (40, 40, 44), (255, 255, 255), (60, 62, 70), "checks"),
    Product("unseen-detergent", "하얀 세제", "White Detergent", 0, 450, 8, "bag", (11, 13, 4),
            (236, 240, 246), (110, 60, 170), (90, 40, 150), (255, 255, 255), "zigzag"),
]

ALL = SOLD + UNSOLD_TRAINING + UNSOLD_CLIPS
BY_SKU = {product.sku: product for product in ALL}
SKINS = [(224, 172, 140), (198, 136, 100), (120, 76, 52), (240, 196, 168)]
SLEEVES = [(40, 60, 110), (90, 90, 96), (150, 40, 50), (226, 222, 210)]
