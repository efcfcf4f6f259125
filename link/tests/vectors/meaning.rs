//! A message as one line of text that every language can print: `Name; key=value; ...`, see SPEC.md 9.

use till_link::{Cart, Outcome, SaleId, ToPos, ToTill};

fn sale(sale: &SaleId) -> String {
    format!("sale={}/{}/{}", sale.counter, sale.epoch, sale.session)
}

fn cart(cart: &Cart) -> String {
    let mut text = String::new();
    for line in &cart.lines {
        let e = &line.evidence;
        text += &format!(
            "line={}|{}|{}|{}|{}|{}|{}|{}; ",
            line.sku,
            line.name,
            line.unit_minor,
            line.quantity,
            e.votes,
            e.frames,
            e.score_permille,
            u8::from(e.mass_agrees)
        );
    }
    text + &format!(
        "total={}; currency={}; catalogue={}; mass_g={}",
        cart.total_minor,
        cart.currency.code(),
        cart.catalogue_version,
        cart.mass_g
    )
}

pub fn to_pos(message: &ToPos) -> String {
    match message {
        ToPos::SessionOpened { sale: id } => format!("SessionOpened; {}", sale(id)),
        ToPos::CartChanged { sale: id, cart: c } => format!("CartChanged; {}; {}", sale(id), cart(c)),
        ToPos::Offer { sale: id, revision, cart: c } => {
            format!("Offer; {}; revision={revision}; {}", sale(id), cart(c))
        }
        ToPos::Withdrawn { sale: id, revision } => format!("Withdrawn; {}; revision={revision}", sale(id)),
        ToPos::Closed { sale: id, revision, outcome, cart: c } => {
            format!("Closed; {}; revision={revision}; outcome={outcome:?}; {}", sale(id), cart(c))
        }
        ToPos::QueryOutcome { sale: id, revision } => format!("QueryOutcome; {}; revision={revision}", sale(id)),
        ToPos::Attention { sale: id, reason, on } => {
            let id = id.as_ref().map_or("sale=none".into(), sale);
            format!("Attention; {id}; reason={reason:?}; on={}", u8::from(*on))
        }
        ToPos::Member { sale: id, member, score_permille } => {
            format!("Member; {}; member={member}; score={score_permille}", sale(id))
        }
        ToPos::State { phase, rung, reason, precision } => {
            let precision = precision.map_or("none".into(), |precision| format!("{precision:?}"));
            format!("State; phase={phase:?}; rung={rung:?}; reason={reason}; precision={precision}")
        }
        ToPos::Clock { unix_s, trusted } => format!("Clock; unix_s={unix_s}; trusted={}", u8::from(*trusted)),
        ToPos::QueryPrices { version, part } => format!("QueryPrices; version={version}; part={part}"),
        ToPos::Price { sku, unit_minor, currency, catalogue_version } => {
            let unit = unit_minor.map_or("none".into(), |unit| unit.to_string());
            format!("Price; sku={sku}; unit={unit}; currency={}; catalogue={catalogue_version}", currency.code())
        }
        ToPos::Thumbnail { sale: id, revision, part, parts, jpeg } => {
            let jpeg = crate::hex(jpeg);
            format!("Thumbnail; {}; revision={revision}; part={part}; parts={parts}; jpeg={jpeg}", sale(id))
        }
        ToPos::Guide { sale: id, hint, step, steps } => {
            let id = id.as_ref().map_or("sale=none".into(), sale);
            format!("Guide; {id}; hint={hint:?}; step={step}; steps={steps}")
        }
    }
}

pub fn to_till(message: &ToTill) -> String {
    match message {
        ToTill::Paid { sale: id, revision, tender, amount_minor } => {
            format!("Paid; {}; revision={revision}; tender={tender:?}; amount={amount_minor}", sale(id))
        }
        ToTill::Cancel { sale: id } => format!("Cancel; {}", sale(id)),
        ToTill::OutcomeIs { sale: id, outcome } => {
            let outcome = outcome.map_or("none".into(), |outcome: Outcome| format!("{outcome:?}"));
            format!("OutcomeIs; {}; outcome={outcome}", sale(id))
        }
        ToTill::Override { sale: id, reason } => format!("Override; {}; reason={reason:?}", sale(id)),
        ToTill::Language { code } => format!("Language; code={}", String::from_utf8_lossy(code)),
        ToTill::Acknowledge { sale: id, reason } => {
            let id = id.as_ref().map_or("sale=none".into(), sale);
            format!("Acknowledge; {id}; reason={reason:?}")
        }
        ToTill::QueryPrice { sku } => format!("QueryPrice; sku={sku}"),
        ToTill::Prices { version, part, parts, currency, prices } => {
            let head = format!("Prices; version={version}; part={part}; parts={parts}; currency={}", currency.code());
            prices.iter().fold(head, |text, price| text + &format!("; price={}|{}", price.sku, price.unit_minor))
        }
        ToTill::Recognise { sale: id, on } => format!("Recognise; {}; on={}", sale(id), u8::from(*on)),
        ToTill::Enrol { member, consent, on } => {
            format!("Enrol; member={member}; consent={consent}; on={}", u8::from(*on))
        }
    }
}
