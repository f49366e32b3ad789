//! What the demo shop sells and writes, for its pages and for the generated year alike.

/// A thing for sale.
#[derive(Debug)]
pub(super) struct Product {
    /// Also the last part of its page's address.
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) shelf: &'static Shelf,
    pub(super) price_minor: i64,
    pub(super) description: &'static str,
    pub(super) facts: [&'static str; 3],
    /// Shown beside it.
    pub(super) pairs_with: [&'static str; 3],
    pub(super) art: &'static str,
}

/// A category of products with a page of its own.
#[derive(Debug, PartialEq)]
pub(super) struct Shelf {
    pub(super) path: &'static str,
    pub(super) title: &'static str,
    pub(super) description: &'static str,
}

/// An article of the journal.
#[derive(Debug)]
pub(super) struct Article {
    pub(super) slug: &'static str,
    pub(super) title: &'static str,
    pub(super) kind: &'static str,
    pub(super) teaser: &'static str,
    pub(super) html: &'static str,
}

pub(super) static BEANS: Shelf = Shelf {
    path: "beans",
    title: "Beans",
    description: "Roasted in small batches, sent within three days, best within eight weeks.",
};

pub(super) static GEAR: Shelf = Shelf {
    path: "gear",
    title: "Gear",
    description: "Five tools, chosen because we use them every morning, and every part can be replaced.",
};

pub(super) static PRODUCTS: [Product; 8] = [
    Product {
        id: "morning-blend",
        name: "Morning Blend, 1 kg",
        shelf: &BEANS,
        price_minor: 3200,
        description: "Milk chocolate, red apple and a finish that forgives a hurried pour.",
        facts: ["Medium roast", "Brazil and Ethiopia", "For filter, French press and moka pot"],
        pairs_with: ["paper-filters", "ceramic-dripper", "hand-grinder"],
        art: include_str!("../../assets/demo/art/morning-blend.svg"),
    },
    Product {
        id: "house-espresso",
        name: "House Espresso, 1 kg",
        shelf: &BEANS,
        price_minor: 3400,
        description: "Dark cocoa and walnut with enough body for milk.",
        facts: ["Dark roast", "India and Guatemala", "Rested for ten days before it ships"],
        pairs_with: ["hand-grinder", "brew-scale", "low-acid-decaf"],
        art: include_str!("../../assets/demo/art/house-espresso.svg"),
    },
    Product {
        id: "low-acid-decaf",
        name: "Low-Acid Decaf, 500 g",
        shelf: &BEANS,
        price_minor: 1900,
        description: "Hazelnut and caramel, gentle on the stomach, quiet at night.",
        facts: ["Medium-dark roast", "Sumatra, decaffeinated with water", "Less than 0.1 % caffeine"],
        pairs_with: ["paper-filters", "morning-blend", "gooseneck-kettle"],
        art: include_str!("../../assets/demo/art/low-acid-decaf.svg"),
    },
    Product {
        id: "gooseneck-kettle",
        name: "Gooseneck Kettle, 0.8 l",
        shelf: &GEAR,
        price_minor: 7900,
        description: "A thin spout, a thermometer in the lid and a handle that stays cool.",
        facts: ["0.8 litres, stainless steel", "All hobs, induction too", "Spare parts for ten years"],
        pairs_with: ["ceramic-dripper", "brew-scale", "morning-blend"],
        art: include_str!("../../assets/demo/art/gooseneck-kettle.svg"),
    },
    Product {
        id: "hand-grinder",
        name: "Hand Grinder",
        shelf: &GEAR,
        price_minor: 11_900,
        description: "Forty seconds of turning, and the evenest grounds below a café’s machine.",
        facts: ["Hardened steel burrs, 38 mm", "30 g a fill", "Comes apart without tools"],
        pairs_with: ["house-espresso", "brew-scale", "morning-blend"],
        art: include_str!("../../assets/demo/art/hand-grinder.svg"),
    },
    Product {
        id: "ceramic-dripper",
        name: "Ceramic Dripper",
        shelf: &GEAR,
        price_minor: 2400,
        description: "One cup or three, with ribs that let the last drop through.",
        facts: ["Stoneware, dishwasher safe", "Fits cups and jugs", "Takes size 02 filters"],
        pairs_with: ["paper-filters", "gooseneck-kettle", "morning-blend"],
        art: include_str!("../../assets/demo/art/ceramic-dripper.svg"),
    },
    Product {
        id: "brew-scale",
        name: "Brew Scale",
        shelf: &GEAR,
        price_minor: 4900,
        description: "Weighs to a tenth of a gram and counts the seconds beside it.",
        facts: ["0.1 g to 2 kg", "USB-C, 30 hours", "Splash-proof"],
        pairs_with: ["gooseneck-kettle", "hand-grinder", "ceramic-dripper"],
        art: include_str!("../../assets/demo/art/brew-scale.svg"),
    },
    Product {
        id: "paper-filters",
        name: "Paper Filters, 100",
        shelf: &GEAR,
        price_minor: 750,
        description: "Unbleached, thick enough to hold the oils back, thin enough not to clog.",
        facts: ["Size 02", "Compostable", "No taste of paper after one rinse"],
        pairs_with: ["ceramic-dripper", "morning-blend", "low-acid-decaf"],
        art: include_str!("../../assets/demo/art/paper-filters.svg"),
    },
];

pub(super) static ARTICLES: [Article; 3] = [
    Article {
        slug: "low-acid-coffee",
        title: "Low-acid coffee that still tastes of something",
        kind: "Brewing guide",
        teaser: "The fix is rarely to drink less of it. It is to brew it differently.",
        html: include_str!("../../assets/demo/low-acid-coffee.html"),
    },
    Article {
        slug: "water-temperature",
        title: "The right water temperature",
        kind: "Brewing guide",
        teaser: "Recipes love a single number. Your beans do not know about it.",
        html: include_str!("../../assets/demo/water-temperature.html"),
    },
    Article {
        slug: "grind-fresh",
        title: "Grind fresh: ten turns that change the cup",
        kind: "Gear",
        teaser: "Nothing you can buy improves coffee as much as grinding it just before.",
        html: include_str!("../../assets/demo/grind-fresh.html"),
    },
];

impl Product {
    /// The price as a plain decimal.
    pub(super) fn price(&self) -> String {
        decimal(self.price_minor)
    }
}

/// Cents as a plain decimal of dollars.
pub(super) fn decimal(minor: i64) -> String {
    format!("{}.{:02}", minor / 100, minor % 100)
}

/// The product with this id.
pub(super) fn product(id: &str) -> Option<&'static Product> {
    PRODUCTS.iter().find(|product| product.id == id)
}
