//! What the store sells: SKU, name, price and mass. A plain table here; `csv` reads it from a file.

mod csv;

pub use self::csv::CatalogueError;

use std::collections::{HashMap, HashSet};

use till_link::{Currency, Name, Price, Sku};

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

    /// CRC-32C of the file's bytes, or the number of the POS's list: states which prices an offer used.
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

    /// The same goods for the POS's prices; what its list lacks is no longer sold.
    ///
    /// # Errors
    /// What is wrong with the list: another currency, a negative price, a SKU twice.
    pub fn with_prices(&self, version: u32, currency: Currency, prices: &[Price]) -> Result<Self, String> {
        if currency != self.currency {
            return Err(format!("prices in {} where {} is sold", currency.code(), self.currency.code()));
        }
        let mut by_sku = HashMap::new();
        for price in prices {
            if price.unit_minor < 0 {
                return Err(format!("{} costs {}", price.sku, price.unit_minor));
            }
            if by_sku.insert(&price.sku, price.unit_minor).is_some() {
                return Err(format!("{} stands there twice", price.sku));
            }
        }
        let priced =
            |product: &Product| by_sku.get(&product.sku).map(|&price_minor| Product { price_minor, ..product.clone() });
        Ok(Self { products: self.products.iter().filter_map(priced).collect(), currency, version })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn price(sku: &str, unit_minor: i64) -> Price {
        Price { sku: Sku::try_from(sku).unwrap(), unit_minor }
    }

    #[test]
    fn the_pos_prices_the_goods_and_what_it_does_not_price_is_not_sold() {
        let csv = "sku,name,price_minor,currency,mass_g,mass_tolerance_g\nA,Apple,100,KRW,150,20\nB,Bun,200,KRW,80,9\n";
        let krw = Currency(*b"KRW");
        let ours = Catalogue::parse(csv.as_bytes(), krw).unwrap();
        let theirs = ours.with_prices(77, krw, &[price("Z", 9), price("B", 250)]).unwrap();
        assert_eq!(theirs.version(), 77);
        let [bun] = theirs.products() else { panic!("{theirs:?}") };
        assert_eq!((bun.sku.as_str(), bun.price_minor, bun.mass_g), ("B", 250, 80));
        assert_eq!(theirs.index_labels(["A", "B"]), [None, Some(0)]);
        for (currency, prices) in [
            (Currency(*b"EUR"), vec![price("A", 1)]),
            (krw, vec![price("A", -1)]),
            (krw, vec![price("A", 1), price("A", 1)]),
        ] {
            assert!(ours.with_prices(78, currency, &prices).is_err(), "{prices:?}");
        }
    }
}
