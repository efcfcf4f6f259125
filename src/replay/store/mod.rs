//! The demo store as a source of carts without end: views of its goods, rendered for measuring and never trained on, are
//! laid on its counter by a seed, and each cart is filmed frame by frame as it is played. No file of footage is needed.
//! Must never look at what the counter makes of it. Read next: `cart`, then `film`.

pub mod cart;
pub mod film;
pub mod kind;
pub mod sprite;

use std::collections::BTreeMap;
use std::path::Path;

use crate::checkout::Catalogue;
use crate::runtime::{RuntimeError, RuntimeErrorKind};

use sprite::{Picture, Sprite};

/// Goods that the store doesn't sell begin so.
const STRANGERS: [&str; 2] = ["unknown-", "unseen-"];

/// One thing of which there are views.
#[derive(Debug)]
pub struct Thing {
    /// The SKU; of a stranger a name that no catalogue has.
    pub name: String,
    /// At least one.
    pub views: Vec<Sprite>,
    /// What one weighs by the catalogue and how far it may be off, grams; `None` for a stranger.
    pub mass: Option<(i32, i32)>,
    /// Price of one, minor units.
    pub price_minor: i64,
}

/// What carts are made of.
#[derive(Debug)]
pub struct Store {
    /// Goods that are sold, in the order of their names.
    pub sold: Vec<Thing>,
    /// Goods that are not.
    pub strangers: Vec<Thing>,
    /// Hands with their arms, fingers up.
    pub hands: Vec<Sprite>,
    /// The empty counter under several lights.
    pub tables: Vec<Picture>,
}

impl Store {
    /// Reads the sheets in `folder`: NAME.jpg with colours, NAME.png with how opaque each pixel is, views in square cells
    /// side by side.
    ///
    /// # Errors
    /// A sheet that can't be read, or a folder that lacks goods, strangers, hands or tables.
    pub fn load(folder: &Path, catalogue: &Catalogue) -> Result<Self, RuntimeError> {
        let failed =
            |message: String| RuntimeError::new(RuntimeErrorKind::Footage, folder.display().to_string(), message);
        let entries = std::fs::read_dir(folder).map_err(|error| failed(format!("can't be read: {error}")))?;
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok()?.strip_suffix(".jpg").map(str::to_owned))
            .collect();
        names.sort();
        let mut store = Self { sold: Vec::new(), strangers: Vec::new(), hands: Vec::new(), tables: Vec::new() };
        for name in names {
            let path = folder.join(format!("{name}.jpg"));
            if name.starts_with("table-") {
                store.tables.push(Picture::load(&path).map_err(failed)?);
                continue;
            }
            let views = sprite::sheet(&path).map_err(failed)?;
            if name.starts_with("hand-") {
                store.hands.extend(views);
                continue;
            }
            let stranger = STRANGERS.iter().any(|prefix| name.starts_with(prefix));
            match catalogue.products().iter().find(|product| product.sku.as_str() == name) {
                Some(p) => store.sold.push(Thing {
                    mass: Some((p.mass_g, p.mass_tolerance_g)),
                    price_minor: p.price_minor,
                    name,
                    views,
                }),
                None if stranger => store.strangers.push(Thing { name, views, mass: None, price_minor: 0 }),
                None => return Err(failed(format!("{name}: the catalogue has no such product"))),
            }
        }
        let lacks = [
            ("goods", store.sold.len() < 2),
            ("goods that are not sold", store.strangers.is_empty()),
            ("hands", store.hands.is_empty()),
            ("tables", store.tables.is_empty()),
        ];
        match lacks.into_iter().find(|(_, lacks)| *lacks) {
            Some((what, _)) => {
                Err(failed(format!("has no {what}; it must hold the sheets of scripts/training/demo_store/sheets.py")))
            }
            None => Ok(store),
        }
    }

    /// The thing that an actor is.
    fn thing(&self, stranger: bool, index: usize) -> Option<&Thing> {
        if stranger { self.strangers.get(index) } else { self.sold.get(index) }
    }
}

/// Goods by name.
pub type Goods = BTreeMap<String, u16>;
