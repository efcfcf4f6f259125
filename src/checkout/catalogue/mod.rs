//! What the store sells: SKU, name, price and mass. A plain table here; `csv` reads it from a file.

mod csv;

pub use self::csv::CatalogueError;

use std::collections::HashSet;

use till_link::{Currency, Name, Sku};

/// One product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Stock keeping unit; equals the engine's label.
    pub sku: Sku,
    /// For people.
    pub name: Name,
    /// Price of one, minor units, at least 0.
    pub price_minor: i64,
    /// Mass of one, grams, more than 0.
    pub mass_g: i32,
    /// How far one may be off, grams, at least 0.
    pub mass_tolerance_g: i32,
}

/// The assortment, in the file's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalogue {
    products: Vec<Product>,
    currency: Currency,
    version: u32,
}

impl Catalogue {
    /// The products in the file's order.
    pub fn products(&self) -> &[Product] {
        &self.products
    }

    /// Of every price.
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// CRC-32C of the file's bytes: states which prices an offer used.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Of `labels`, an engine's products, those that have no price here: the counter calls such goods unknown.
    pub fn without_price<'l>(&self, labels: &'l [String]) -> Vec<&'l str> {
        let skus: HashSet<&str> = self.products.iter().map(|p| p.sku.as_str()).collect();
        labels.iter().map(String::as_str).filter(|label| !skus.contains(label)).collect()
    }

    /// The products that `labels` lack: the engine never sees them.
    pub fn without_label(&self, labels: &[String]) -> Vec<&str> {
        let labels: HashSet<&str> = labels.iter().map(String::as_str).collect();
        self.products.iter().map(|p| p.sku.as_str()).filter(|sku| !labels.contains(sku)).collect()
    }

    /// For each of an engine's labels the index of its product, `None` where the catalogue lacks it.
    pub fn index_labels<'l>(&self, labels: impl IntoIterator<Item = &'l str>) -> Vec<Option<u16>> {
        labels
            .into_iter()
            .map(|label| {
                let index = self.products.iter().position(|product| product.sku.as_str() == label)?;
                u16::try_from(index).ok()
            })
            .collect()
    }
}
