//! `catalogue.csv`: `sku,name,price_minor,currency,mass_g,mass_tolerance_g`, UTF-8, with or without BOM,
//! with LF or CRLF.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use till_link::{Currency, Name, Sku};

use super::{Catalogue, Product};

/// The header that the file must have.
const HEADER: [&str; 6] = ["sku", "name", "price_minor", "currency", "mass_g", "mass_tolerance_g"];

/// A catalogue that can't be used: where, and what is allowed there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogueError {
    /// The file.
    pub file: PathBuf,
    /// Line in the file, from 1; 0 where the whole file is meant.
    pub line: u64,
    /// What was found, what is allowed.
    pub message: String,
}

impl fmt::Display for CatalogueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "catalogue {}", self.file.display())?;
        if self.line > 0 {
            write!(f, " line {}", self.line)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for CatalogueError {}

impl Catalogue {
    /// Reads `file`, whose prices must be in `currency`.
    pub fn load(file: &Path, currency: Currency) -> Result<Self, CatalogueError> {
        let bytes = std::fs::read(file).map_err(|error| CatalogueError {
            file: file.to_owned(),
            line: 0,
            message: format!("can't be read: {error}; set counter.catalogue to the file"),
        })?;
        Self::parse(&bytes, currency).map_err(|(line, message)| CatalogueError { file: file.to_owned(), line, message })
    }

    /// Reads the bytes of a file. Errors are the line and what was found there.
    pub fn parse(bytes: &[u8], currency: Currency) -> Result<Self, (u64, String)> {
        let version = till_link::frame::CRC.checksum(bytes);
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut reader = ::csv::ReaderBuilder::new().trim(::csv::Trim::All).from_reader(bytes);
        let header = reader.headers().map_err(|error| (1, error.to_string()))?;
        if header.iter().ne(HEADER) {
            let found: Vec<&str> = header.iter().collect();
            return Err((1, format!("the header is {:?}; it must be {:?}", found.join(","), HEADER.join(","))));
        }
        let mut products = Vec::new();
        let mut seen: HashMap<Sku, u64> = HashMap::new();
        for record in reader.records() {
            let record =
                record.map_err(|error| (error.position().map_or(0, ::csv::Position::line), error.to_string()))?;
            let line = record.position().map_or(0, ::csv::Position::line);
            let product = product(&record, currency).map_err(|message| (line, message))?;
            if let Some(first) = seen.insert(product.sku.clone(), line) {
                return Err((
                    line,
                    format!("sku {:?} stands in line {first} already; an sku may stand once", product.sku),
                ));
            }
            products.push(product);
        }
        if products.is_empty() {
            return Err((0, "has no products; each line below the header is one".into()));
        }
        if products.len() > usize::from(u16::MAX) * 2 {
            return Err((0, format!("has {} products; {} at most", products.len(), usize::from(u16::MAX) * 2)));
        }
        Ok(Self { products, currency, version })
    }
}

fn product(record: &::csv::StringRecord, currency: Currency) -> Result<Product, String> {
    let field = |i: usize| record.get(i).unwrap_or("");
    let sku = Sku::try_from(field(0)).map_err(|_| format!("sku {:?} is longer than 32 bytes", field(0)))?;
    if sku.is_empty() {
        return Err("sku is empty".into());
    }
    let name = Name::try_from(field(1)).map_err(|_| format!("name {:?} is longer than 48 bytes", field(1)))?;
    let number = |i: usize, low: i64, high: i64| {
        let value = field(i).parse::<i64>().ok().filter(|value| (low..=high).contains(value));
        value.ok_or_else(|| format!("{} is {:?}; it must be a whole number from {low} to {high}", HEADER[i], field(i)))
    };
    if field(3) != currency.code() {
        return Err(format!(
            "currency is {:?}; counter.currency is {:?}, one counter has one currency",
            field(3),
            currency.code()
        ));
    }
    Ok(Product {
        sku,
        name,
        price_minor: number(2, 0, 1_000_000_000_000)?,
        mass_g: number(4, 1, 1_000_000)? as i32,
        mass_tolerance_g: number(5, 0, 100_000)? as i32,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KRW: Currency = Currency(*b"KRW");
    const HEAD: &str = "sku,name,price_minor,currency,mass_g,mass_tolerance_g";

    fn error(lines: &str) -> (u64, String) {
        Catalogue::parse(format!("{HEAD}\n{lines}").as_bytes(), KRW).unwrap_err()
    }

    #[test]
    fn bom_and_crlf_are_no_matter() {
        let text = format!("\u{feff}{HEAD}\r\na,한라봉 주스,2400,KRW,250,6\r\nb,Tea,900,KRW,30,2\r\n");
        let catalogue = Catalogue::parse(text.as_bytes(), KRW).unwrap();
        assert_eq!(catalogue.products().len(), 2);
        assert_eq!(catalogue.products()[0].name.as_str(), "한라봉 주스");
        assert_eq!(catalogue.index_labels(["b", "x", "a"]), [Some(1), None, Some(0)]);
    }

    #[test]
    fn each_wrong_line_is_named() {
        assert_eq!(error("a,A,1,KRW,5,1\na,B,1,KRW,5,1").0, 3);
        assert!(error("a,A,1,KRW,5,1\na,B,1,KRW,5,1").1.contains("stands in line 2 already"));
        assert!(error("a,A,-1,KRW,5,1").1.contains("price_minor is \"-1\"; it must be a whole number from 0"));
        assert!(error("a,A,1,USD,5,1").1.contains("currency is \"USD\"; counter.currency is \"KRW\""));
        assert!(error("a,A,1.5,KRW,5,1").1.contains("whole number"));
        assert!(error("a,A,1,KRW,0,1").1.contains("mass_g is \"0\""));
        assert!(error("a,A,1,KRW").1.contains("fields"));
        assert!(error("").1.contains("no products"));
        assert!(Catalogue::parse(b"sku;name\n", KRW).unwrap_err().1.contains("the header is"));
    }

    #[test]
    fn a_hundred_thousand_lines_are_read() {
        let mut text = String::from(HEAD);
        for i in 0..100_000 {
            text.push_str(&format!("\nsku-{i},Name {i},{i},KRW,100,5"));
        }
        assert_eq!(Catalogue::parse(text.as_bytes(), KRW).unwrap().products().len(), 100_000);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Catalogue::parse(&bytes, KRW);
            let mut text = HEAD.as_bytes().to_vec();
            text.push(b'\n');
            text.extend(bytes);
            let _ = Catalogue::parse(&text, KRW);
        }
    }
}
