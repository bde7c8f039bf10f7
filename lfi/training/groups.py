"""What people call things: plain words for the classes of TinyImageNet, which have the names of breeds and models."""

from __future__ import annotations

GROUPS: dict[str, tuple[str, ...]] = {
    "dog": (
        *("Chihuahua", "Yorkshire terrier", "golden retriever", "Labrador retriever"),
        *("German shepherd", "standard poodle"),
    ),
    "cat": ("tabby", "Persian cat", "Egyptian cat"),
    "elephant": ("African elephant",),
    "bear": ("brown bear",),
    "ape": ("chimpanzee", "orangutan"),
    "bird": ("king penguin", "albatross", "black stork", "goose"),
    "fish": ("goldfish",),
    "insect": (
        *("bee", "fly", "cockroach", "ladybug", "grasshopper", "mantis", "dragonfly", "walking stick"),
        *("monarch", "sulphur butterfly"),
    ),
    "butterfly": ("monarch", "sulphur butterfly"),
    "spider": ("tarantula", "black widow"),
    "snake": ("boa constrictor",),
    "frog": ("bullfrog", "tailed frog"),
    "car": ("convertible", "sports car", "limousine", "beach wagon"),
    "bus": ("school bus", "trolleybus"),
    "van": ("moving van", "police van"),
    "train": ("bullet train", "freight car"),
    "boat": ("gondola", "lifeboat"),
    "bridge": ("steel arch bridge", "suspension bridge", "viaduct"),
    "tower": ("water tower", "beacon", "obelisk"),
    "shop": ("barbershop", "butcher shop", "confectionery"),
    "ball": ("basketball", "rugby ball", "volleyball"),
    "bottle": ("beer bottle", "pop bottle", "pill bottle"),
    "clothes": (
        *("cardigan", "fur coat", "kimono", "apron", "academic gown", "military uniform", "miniskirt", "poncho"),
        *("bikini", "swimming trunks", "vestment", "sock"),
    ),
    "hat": ("sombrero",),
    "fruit": ("banana", "lemon", "orange", "pomegranate"),
    "vegetable": ("cauliflower", "bell pepper", "mushroom"),
    "food": ("pizza", "pretzel", "guacamole", "mashed potato", "meat loaf", "potpie", "ice cream", "ice lolly"),
}
"""A plain word, and the classes that it is true of."""
