//! A booked sale as people read it: forty columns, names left, amounts right, wide characters counted as
//! two.

use std::fmt;

use till_link::{Cart, Currency, SaleId};

/// Columns of a receipt.
const COLUMNS: usize = 40;

/// A sale that was booked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its id, once and for ever.
    pub sale: SaleId,
    /// What was sold.
    pub cart: Cart,
}

/// An amount with its thousands parted and the decimals that its currency has (ISO 4217).
pub fn amount(minor: i64, currency: Currency) -> String {
    let decimals: u32 = match currency.code() {
        "KRW" | "JPY" | "VND" | "CLP" | "ISK" => 0,
        "BHD" | "KWD" | "OMR" | "JOD" | "TND" => 3,
        _ => 2,
    };
    let unit = 10u64.pow(decimals);
    let whole = (minor.unsigned_abs() / unit).to_string();
    let mut text = String::new();
    if minor < 0 {
        text.push('-');
    }
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if decimals > 0 {
        text.push_str(&format!(".{:0width$}", minor.unsigned_abs() % unit, width = decimals as usize));
    }
    text
}

/// Columns that `text` takes in a terminal: two for East Asian wide characters (Unicode Annex 11, the
/// blocks that receipts meet).
pub fn width(text: &str) -> usize {
    text.chars()
        .map(|c| match u32::from(c) {
            0x1100..=0x115f
            | 0x2e80..=0xa4cf
            | 0xac00..=0xd7a3
            | 0xf900..=0xfaff
            | 0xfe30..=0xfe6f
            | 0xff00..=0xff60 => 2,
            _ => 1,
        })
        .sum()
}

/// `text`, cut to `columns` and filled up with spaces. Control characters, which could move a terminal's cursor,
/// become question marks: names come over the wire.
pub fn fit(text: &str, columns: usize) -> String {
    let mut cut = String::new();
    for c in text.chars().map(|c| if c.is_control() { '?' } else { c }) {
        if width(&cut) + width(c.encode_utf8(&mut [0; 4])) > columns {
            break;
        }
        cut.push(c);
    }
    let missing = columns - width(&cut);
    cut.extend(std::iter::repeat_n(' ', missing));
    cut
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let currency = self.cart.currency;
        writeln!(f, "{}", "-".repeat(COLUMNS))?;
        for line in &self.cart.lines {
            let sum = line.unit_minor.saturating_mul(i64::from(line.quantity));
            let price =
                format!("{:>2} x {:>7} {:>8}", line.quantity, amount(line.unit_minor, currency), amount(sum, currency));
            let room = COLUMNS.saturating_sub(width(&price) + 1);
            if width(&line.name) <= room {
                writeln!(f, "{} {price}", fit(&line.name, room))?;
            } else {
                writeln!(f, "{}", fit(&line.name, COLUMNS).trim_end())?;
                writeln!(f, "{price:>COLUMNS$}")?;
            }
        }
        writeln!(f, "{}", "-".repeat(COLUMNS))?;
        let total = format!("{} {}", currency.code(), amount(self.cart.total_minor, currency));
        writeln!(f, "TOTAL{total:>width$}", width = COLUMNS - 5)?;
        write!(f, "{:>COLUMNS$}", format!("sale {}", self.sale))
    }
}

#[cfg(test)]
mod tests {
    use till_link::{Evidence, Line, Name, Sku};

    use super::*;

    #[test]
    fn amounts_have_the_decimals_of_their_currency() {
        let amounts = [(0, "KRW"), (2_400, "KRW"), (1_234_567, "KRW"), (-1_000, "JPY"), (1_205, "EUR"), (1_205, "KWD")];
        let texts = amounts.map(|(minor, code)| amount(minor, Currency::new(code).unwrap()));
        assert_eq!(texts, ["0", "2,400", "1,234,567", "-1,000", "12.05", "1.205"]);
        assert_eq!(amount(i64::MIN, Currency(*b"KRW")), "-9,223,372,036,854,775,808");
    }

    #[test]
    fn whatever_the_wire_brought_can_be_printed() {
        let line = Line {
            sku: Sku::new(),
            name: Name::try_from("\x1b[2J\r\nfree").unwrap(),
            unit_minor: i64::MIN,
            quantity: u16::MAX,
            evidence: Evidence::default(),
        };
        let cart = Cart {
            lines: [line].into_iter().collect(),
            total_minor: i64::MIN,
            currency: Currency([0xff; 3]),
            catalogue_version: 0,
            mass_g: 0,
        };
        let text = Receipt { sale: SaleId { counter: 0, epoch: 0, session: 0 }, cart }.to_string();
        assert!(text.contains("?[2J??free") && !text.contains('\x1b'), "{text}");
    }

    #[test]
    fn a_receipt_keeps_its_columns_with_korean_names() {
        let line = |sku: &str, name: &str, unit_minor, quantity| Line {
            sku: Sku::try_from(sku).unwrap(),
            name: Name::try_from(name).unwrap(),
            unit_minor,
            quantity,
            evidence: Evidence::default(),
        };
        let lines = [line("a", "녹차 Tea", 900, 2), line("b", "한라봉 주스 Hallabong Juice", 2_400, 1)];
        let cart = Cart {
            lines: lines.into_iter().collect(),
            total_minor: 4_200,
            currency: Currency(*b"KRW"),
            catalogue_version: 1,
            mass_g: 0,
        };
        let receipt = Receipt { sale: SaleId { counter: 1, epoch: 0xab, session: 9 }, cart }.to_string();
        let expected = "\
----------------------------------------
녹차 Tea            2 x     900    1,800
한라봉 주스 Hallabong Juice
                    1 x   2,400    2,400
----------------------------------------
TOTAL                          KRW 4,200
                       sale 1-000000ab-9";
        assert_eq!(receipt, expected);
    }
}
