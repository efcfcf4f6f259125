//! `till eval carts`: shoppers by the hundred at the demo store. Each cart is laid down by its seed, filmed, and played in
//! lock-step through the whole counter; its receipts are held against what lies there.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde_json::{Value, json};

use super::demo::workshop;
use super::exit::{CliError, Exit};
use super::faces::progress;
use crate::checkout::Catalogue;
use crate::config::Config;
use crate::pos::Receipt;
use crate::replay::store::cart::Cart;
use crate::replay::store::film::Film;
use crate::replay::store::kind::Kind;
use crate::replay::store::{Goods, Store, sprite};
use crate::replay::{Played, Player};
use crate::runtime::{logger, parts};

/// A counter whose books hold more sales than this is replaced by a fresh one.
const SALES_MAX: usize = 100;

/// Play new carts of the demo store through the whole counter, and hold each receipt against what lies there
///
/// Views of its goods that no training saw are laid on its counter by a seed, with hands, goods that are not sold,
/// look-alikes, packs on each other, packs taken back, and loads that don't fit; the camera's pictures are made as they are
/// looked at. A charge is wrong when a receipt is not of just the goods that lie there. Exits with 6 when one is.
#[derive(Args, Clone, Debug)]
pub struct EvalCartsArgs {
    /// Folder of the demo store: till.toml, catalogue.csv and sprites/
    #[arg(long, value_name = "DIR", default_value = "demo")]
    pub store: PathBuf,
    /// How many carts, the kinds in turn
    #[arg(long, value_name = "N", default_value_t = 520)]
    pub carts: u64,
    /// The first cart's seed; each further cart has the next one
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Only carts of this kind
    #[arg(long, value_name = "NAME")]
    pub kind: Option<Kind>,
    /// Another engine than till.toml names
    #[arg(long, value_name = "DIR")]
    pub engine: Option<PathBuf>,
    /// Write a picture of each cart that did not end as its script says into this folder
    #[arg(long, value_name = "DIR")]
    pub pictures: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// How a cart ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// As its script says.
    Right,
    /// No receipt, where there should be one or for another reason.
    Attention,
    /// A receipt of what lies there, where there should be none.
    Charged,
    /// A receipt of anything else.
    Wrong,
}

/// Carts by how they ended.
#[derive(Clone, Copy, Debug, Default)]
struct Ends {
    right: u32,
    attention: u32,
    charged: u32,
    wrong: u32,
}

impl Ends {
    fn add(&mut self, end: End) {
        *match end {
            End::Right => &mut self.right,
            End::Attention => &mut self.attention,
            End::Charged => &mut self.charged,
            End::Wrong => &mut self.wrong,
        } += 1;
    }

    fn carts(self) -> u32 {
        self.right + self.attention + self.charged + self.wrong
    }

    fn json(self) -> Value {
        json!({ "carts": self.carts(), "right": self.right, "attention": self.attention, "charged": self.charged, "wrong": self.wrong })
    }
}

fn goods(receipt: &Receipt) -> Goods {
    let mut goods = Goods::new();
    for line in &receipt.cart.lines {
        *goods.entry(line.sku.as_str().to_owned()).or_default() += line.quantity;
    }
    goods
}

fn end(cart: &Cart, played: &Played) -> End {
    let right = |receipt: &Receipt| cart.is_right(&goods(receipt));
    match played.receipts.as_slice() {
        [] if played.verdict.matched || cart.kind == Kind::Stacked => End::Right,
        [] => End::Attention,
        [receipt] if right(receipt) && played.verdict.matched => End::Right,
        [receipt] if right(receipt) => End::Charged,
        // Two receipts for one tray are one too many, whatever they say.
        _ => End::Wrong,
    }
}

/// What one cart came to, for people.
fn tell(cart: &Cart, played: &Played) -> String {
    let lies: Vec<String> = cart.lies.iter().map(|(name, n)| format!("{n} {name}")).collect();
    format!("{}: {} lie there; {}", cart.script.title, lies.join(" + "), played.verdict.seen)
}

/// Plays carts, on a fresh counter wherever one could not end its last sale.
struct Counters<'c> {
    config: &'c Config,
    player: Option<(Player, super::demo::Folder, usize)>,
}

impl Counters<'_> {
    fn play(&mut self, store: &Store, cart: &Cart) -> Result<Played, CliError> {
        let (mut player, folder, sales) = match self.player.take() {
            Some(known) if known.2 < SALES_MAX => known,
            _ => {
                let folder = workshop()?;
                (Player::new(self.config, folder.path())?, folder, 0)
            }
        };
        let played = player.play_on(&cart.script, &mut Film::new(store, cart))?;
        if played.ended {
            self.player = Some((player, folder, sales + 1));
        }
        Ok(played)
    }
}

/// Runs the command.
///
/// # Errors
/// A store, an engine or books that can't be had.
pub fn run(args: &EvalCartsArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let mut config = super::run::load(&args.store.join("till.toml"))?;
    logger::install(log::LevelFilter::Error);
    if let Some(engine) = &args.engine {
        config.tray.engine.dir.clone_from(engine);
    }
    let catalogue: Catalogue = parts::catalogue(&config)?;
    let store = Store::load(&args.store.join("sprites"), &catalogue)?;
    if let Some(folder) = &args.pictures {
        std::fs::create_dir_all(folder)?;
    }
    let eyes = parts::eyesight(&config)?;
    let (engine, backend) = (eyes.manifest.name.clone(), eyes.vision.backend());
    let sure = eyes.manifest.thresholds.sure;
    drop(eyes);
    let started = Instant::now();
    let mut counters = Counters { config: &config, player: None };
    let mut kinds: BTreeMap<usize, Ends> = BTreeMap::new();
    let (mut all, mut frames, mut findings) = (Ends::default(), 0, Vec::new());
    let total = usize::try_from(args.carts).unwrap_or(usize::MAX);
    for (i, seed) in (0..total).zip(args.seed..) {
        progress(i, total, "carts", 50);
        let of = i % Kind::ALL.len();
        let kind = args.kind.and_then(|only| Kind::ALL.iter().position(|&kind| kind == only)).unwrap_or(of);
        let cart = Cart::new(&store, Kind::ALL[kind], seed);
        let played = counters.play(&store, &cart)?;
        let end = end(&cart, &played);
        frames += played.frames;
        all.add(end);
        kinds.entry(kind).or_default().add(end);
        if end != End::Right {
            if let Some(folder) = &args.pictures {
                save(&store, &cart, folder)?;
            }
            findings.push((end, cart.kind, seed, tell(&cart, &played)));
        }
    }
    progress(total, total, "carts", 50);
    findings.sort_by(|a, b| b.0.cmp(&a.0).then(a.2.cmp(&b.2)));
    let seconds = started.elapsed().as_secs_f64();
    let rows = kinds.iter().map(|(&kind, &ends)| (Kind::ALL[kind].as_str(), ends));
    if args.json {
        let kinds: serde_json::Map<String, Value> = rows.map(|(name, ends)| (name.to_owned(), ends.json())).collect();
        let findings = findings.iter().map(|(end, kind, seed, text)| {
            json!({ "seed": seed, "kind": kind.as_str(), "end": format!("{end:?}").to_lowercase(), "what": text })
        });
        let object = json!({
            "schema": "till.eval-carts/1", "engine": engine, "backend": backend, "sure": sure, "seed": args.seed,
            "carts": all.carts(), "right": all.right, "attention": all.attention, "charged": all.charged, "wrong": all.wrong,
            "kinds": kinds, "frames": frames, "seconds": seconds, "findings": findings.collect::<Vec<_>>(),
        });
        writeln!(out, "{object}")?;
    } else {
        for (end, _, _, text) in &findings {
            writeln!(out, "{}: {text}", format!("{end:?}").to_lowercase())?;
        }
        writeln!(out, "\n{:<16}{:>8}{:>8}{:>11}{:>9}{:>7}", "kind", "carts", "right", "attention", "charged", "wrong")?;
        for (name, e) in rows.chain([("all", all)]) {
            let carts = e.carts();
            writeln!(out, "{name:<16}{carts:>8}{:>8}{:>11}{:>9}{:>7}", e.right, e.attention, e.charged, e.wrong)?;
        }
        writeln!(out, "{frames} frames, engine {engine} on {backend}, sure {sure}; {seconds:.0} s")?;
    }
    Ok(if all.wrong > 0 { Exit::Findings } else { Exit::Ok })
}

/// The tray before the shopper takes everything, as PNG.
fn save(store: &Store, cart: &Cart, folder: &Path) -> Result<(), CliError> {
    let path = folder.join(format!("{}-{}.png", cart.kind.as_str(), cart.seed));
    let data = Film::new(store, cart).picture(cart.taken_ms.saturating_sub(100));
    image::save_buffer(&path, &data, sprite::WIDTH as u32, sprite::HEIGHT as u32, image::ExtendedColorType::Rgb8)
        .map_err(|e| CliError::new(Exit::Failed, format!("{}: can't be written: {e}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
    }

    fn play(carts: u64, kind: Option<Kind>, engine: Option<PathBuf>) -> (Exit, Value) {
        let store = root().join("demo");
        let args = EvalCartsArgs { store, carts, seed: 7, kind, engine, pictures: None, json: true };
        let mut out = Vec::new();
        let exit = run(&args, &mut out).unwrap();
        (exit, serde_json::from_slice(&out).unwrap())
    }

    #[test]
    fn one_cart_of_each_kind_ends_without_a_wrong_charge() {
        let (exit, v) = play(Kind::ALL.len() as u64, None, None);
        assert_eq!((exit, &v["schema"], &v["carts"]), (Exit::Ok, &json!("till.eval-carts/1"), &json!(13)));
        assert_eq!((&v["wrong"], &v["charged"]), (&json!(0), &json!(0)), "{v}");
        assert!(v["right"].as_u64().is_some_and(|right| right >= 12), "{v}");
        assert_eq!(v["kinds"]["stranger"]["carts"], json!(1));
    }

    /// An engine that takes two products of like mass for each other: neither votes nor scale can know.
    #[test]
    fn a_charge_of_what_does_not_lie_there_is_found() {
        let (dir, demo) = (tempfile::tempdir().unwrap(), root().join("engines/demo"));
        let manifest = std::fs::read_to_string(demo.join("manifest.toml")).unwrap();
        let (a, b) = ("\"boseong-green-tea\"", "\"flame-ramyeon\"");
        let swapped = manifest.replace(a, "\"*\"").replace(b, a).replace("\"*\"", b);
        std::fs::write(dir.path().join("manifest.toml"), swapped).unwrap();
        std::fs::copy(demo.join("model.onnx"), dir.path().join("model.onnx")).unwrap();
        let (exit, v) = play(8, Some(Kind::One), Some(dir.path().to_owned()));
        assert_eq!((exit, v["wrong"].as_u64().is_some_and(|wrong| wrong > 0)), (Exit::Findings, true), "{v}");
        assert_eq!(v["findings"][0]["end"], json!("wrong"));
    }
}
