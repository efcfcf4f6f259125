//! How well a detector does, in the trade's measures: carts that are right, and COCO's average precision.
