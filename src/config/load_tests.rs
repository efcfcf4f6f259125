use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::config::{Backend, CameraSource, LinePlace, Output, ScaleProtocol, ScaleSource, Sign, TriggerSource};

const LEAST: &str = "[tray.camera]\ntest = true\n[tray.engine]\ndir = \"engines/demo\"\n";

fn load(parts: &[&str]) -> Result<Config, ConfigError> {
    let names = ["/etc/till/till.toml", "/etc/till/conf.d/10-shop.toml", "/etc/till/conf.d/20-counter.toml"];
    Config::from_texts(names.iter().map(PathBuf::from).zip(parts.iter().map(|p| (*p).to_owned())))
}

/// The error of a file that has `more` after the least that is needed.
fn error(more: &str) -> ConfigError {
    load(&[&format!("{LEAST}{more}")]).unwrap_err()
}

#[test]
fn the_defaults_are_those_of_the_list() {
    let config = load(&[LEAST]).unwrap();
    assert_eq!(config.counter.id, 1);
    assert_eq!(config.counter.state_dir, PathBuf::from("/var/lib/till"));
    assert_eq!(config.counter.currency, *b"KRW");
    assert_eq!(config.tray.camera.source, CameraSource::Test);
    assert_eq!((config.tray.camera.width, config.tray.camera.height, config.tray.camera.fps), (640, 480, 15));
    assert_eq!((config.tray.camera.first_frame_ms_max, config.tray.camera.stall_ms_max), (5000, 2000));
    assert_eq!((config.tray.camera.reopen_ms_min, config.tray.camera.reopen_ms_max), (200, 5000));
    assert_eq!(config.tray.engine.dir, PathBuf::from("/etc/till/engines/demo"));
    assert_eq!((config.tray.engine.backend, config.tray.engine.require), (Backend::Auto, false));
    assert_eq!((config.tray.engine.ort_dylib, config.tray.engine.threads), (None, 2));
    assert_eq!(config.face, None);
    assert_eq!(config.trigger.source, TriggerSource::None);
    assert_eq!((config.trigger.debounce_ms, config.trigger.quiet_g, config.trigger.quiet_ms), (30, 3, 300));
    assert_eq!(config.trigger.load_present_g, 5);
    assert_eq!((config.checkout.settle_ms, config.checkout.votes_min), (800, 5));
    assert_eq!((config.checkout.clear_ms, config.checkout.attention_ms), (1000, 1500));
    assert_eq!((config.port.path, config.port.baud), ("/dev/till/pos".into(), 115_200));
    assert_eq!(config.link.key_file, None);
    assert_eq!((config.outbox.bytes_max, config.outbox.segment_bytes), (16_777_216, 1_048_576));
    assert_eq!((config.ladder.warm_c, config.ladder.hot_c, config.ladder.supply_mv_min), (75, 88, 4_750));
    assert_eq!((config.ladder.down_s, config.ladder.up_s), (10, 60));
    assert_eq!((config.outputs, config.upgrade.rollback), (vec![], true));
    assert_eq!(config.log.level, log::LevelFilter::Info);
}

#[test]
fn a_later_file_wins_key_by_key_and_its_paths_start_at_its_folder() {
    let shop = "[counter]\nid = 7\ncatalogue = \"prices.csv\"\n[tray.camera]\nfile = \"a.mp4\"\nfps = 30\n";
    let counter = "[counter]\nid = 8\n[face.camera]\nrtsp = \"rtsp://cam/1\"\n";
    let config = load(&[LEAST, shop, counter]).unwrap();
    assert_eq!(config.counter.id, 8);
    assert_eq!(config.counter.catalogue, PathBuf::from("/etc/till/conf.d/prices.csv"));
    // A camera of another kind takes the place of the earlier one, and is no second source.
    let source = CameraSource::File { path: "/etc/till/conf.d/a.mp4".into(), repeat: false };
    assert_eq!((config.tray.camera.source, config.tray.camera.fps), (source, 30));
    assert_eq!(config.tray.engine.dir, PathBuf::from("/etc/till/engines/demo"));
    assert_eq!(config.face.unwrap().camera.source, CameraSource::Rtsp("rtsp://cam/1".into()));
    assert_eq!(config.files.len(), 3);
}

#[test]
fn a_camera_of_the_kernel_has_buffers_and_controls() {
    let face =
        "[face.camera]\nv4l2 = \"/dev/till/face\"\nbuffers = 6\nexposure_us = -1\nfocus = 0\npower_line_hz = 60\n";
    let source = load(&[&format!("{LEAST}{face}")]).unwrap().face.unwrap().camera.source;
    let CameraSource::V4l2 { path, buffers: 6, controls } = source else { panic!("{source:?}") };
    assert_eq!(path, PathBuf::from("/dev/till/face"));
    assert_eq!((controls.exposure_us, controls.focus, controls.power_line_hz), (Some(-1), Some(0), Some(60)));
    assert_eq!((controls.gain, controls.white_balance_k), (None, None));
}

#[test]
fn each_mistake_is_told_by_place_what_was_found_and_what_is_allowed() {
    let cases: &[(&str, Kind, &str)] = &[
        ("threads = 9\n", Kind::NotAllowed, "/etc/till/till.toml:5: tray.engine.threads: found 9; allowed: 1 to 8"),
        (
            "thraeds = 2\n",
            Kind::UnknownKey,
            "/etc/till/till.toml:5: tray.engine.thraeds: unknown key; did you mean \"threads\"?; \
             allowed: in [tray.engine] dir, backend, require, ort_dylib, plans, precision, int8, dla, \
             pictures, threads",
        ),
        (
            "[tray.camra]\nfps = 3\n",
            Kind::UnknownKey,
            "/etc/till/till.toml:5: tray.camra: unknown section or key; did you mean \"camera\"?; \
             allowed: [tray.camera], [tray.engine]",
        ),
        (
            "[printer]\n",
            Kind::UnknownKey,
            "/etc/till/till.toml:5: printer: unknown section or key; allowed: [counter], [tray], [face], [trigger], \
             [output], [checkout], [port], [link], [outbox], [people], [ladder], [upgrade], [log]",
        ),
        (
            "threads = \"2\"\n",
            Kind::WrongType,
            "/etc/till/till.toml:5: tray.engine.threads: found \"2\"; allowed: 1 to 8",
        ),
        ("require = 1\n", Kind::WrongType, "/etc/till/till.toml:5: tray.engine.require: found 1; allowed: true, false"),
        (
            "[tray.engine.backend]\nname = \"rten\"\n",
            Kind::WrongType,
            "/etc/till/till.toml:5: tray.engine.backend: found a section; allowed: \"auto\", \"rten\", \
             \"onnxruntime\", \"tensorrt\"",
        ),
        (
            "[outbox]\n[[log]]\nlevel = \"info\"\n",
            Kind::WrongType,
            "/etc/till/till.toml:6: log: found [[log]]; allowed: a section [log]",
        ),
        (
            "backend = \"cuda\"\n",
            Kind::NotAllowed,
            "/etc/till/till.toml:5: tray.engine.backend: found \"cuda\"; allowed: \"auto\", \"rten\", \
             \"onnxruntime\", \"tensorrt\"",
        ),
        (
            "[port]\nbaud = 115201\n",
            Kind::NotAllowed,
            "/etc/till/till.toml:6: port.baud: found 115201; allowed: 19200, 38400, 57600, 115200, 230400, \
             460800, 921600",
        ),
        (
            "[counter]\ncurrency = \"won\"\n",
            Kind::NotAllowed,
            "/etc/till/till.toml:6: counter.currency: found \"won\"; allowed: three capital letters of ISO 4217, \
             such as \"KRW\"",
        ),
        (
            "[face.camera]\nrtsp = \"http://me:secret@cam/\"\n",
            Kind::NotAllowed,
            "/etc/till/till.toml:6: face.camera.rtsp: found \"http://...@cam/\"; allowed: an address that begins \
             with rtsp:// or rtsps://",
        ),
        ("[link]\nsecure = true\n", Kind::Missing, "/etc/till/till.toml: link.key_file: is missing; allowed: a path"),
        (
            "[link]\nkey_file = \"link.key\"\n",
            Kind::Conflict,
            "/etc/till/till.toml:6: link.key_file: found without secure = true; allowed: beside secure = true only",
        ),
        (
            "[face.camera]\nfps = 15\n",
            Kind::Missing,
            "/etc/till/till.toml:5: face.camera: names no source; allowed: exactly one of v4l2, pipeline, file, rtsp, csi, \
             test",
        ),
        (
            "[face.camera]\ntest = true\ncsi = 0\n",
            Kind::Conflict,
            "/etc/till/till.toml:7: face.camera: found csi, test; allowed: exactly one of v4l2, pipeline, file, rtsp, csi, \
             test",
        ),
        (
            "[face.camera]\ntest = true\ngain = 3\n",
            Kind::Conflict,
            "/etc/till/till.toml:7: face.camera.gain: found beside test; allowed: beside v4l2 only",
        ),
        (
            "[face.camera]\nv4l2 = \"/dev/till/face\"\npower_line_hz = 55\n",
            Kind::NotAllowed,
            "/etc/till/till.toml:7: face.camera.power_line_hz: found 55; allowed: 50, 60",
        ),
        (
            "[face.camera]\ntest = true\nrepeat = true\n",
            Kind::Conflict,
            "/etc/till/till.toml:7: face.camera.repeat: found beside test; allowed: beside file only",
        ),
        (
            "[face.camera]\ntest = true\nreopen_ms_min = 6000\n",
            Kind::Conflict,
            "/etc/till/till.toml:7: face.camera.reopen_ms_min: found reopen_ms_min 6000 above reopen_ms_max 5000; \
             allowed: reopen_ms_min up to reopen_ms_max",
        ),
        (
            "[trigger]\nsource = \"script\"\n",
            Kind::Missing,
            "/etc/till/till.toml: trigger.script: is missing; allowed: a path",
        ),
        (
            "[trigger]\nscript = \"a.toml\"\n",
            Kind::Conflict,
            "/etc/till/till.toml:6: trigger.script: found beside source \"none\"; allowed: beside source = \"script\" \
             only",
        ),
        (
            "require = true\n",
            Kind::Conflict,
            "/etc/till/till.toml:5: tray.engine.require: found true beside backend \"auto\"; allowed: true beside a \
             named backend",
        ),
        (
            "[outbox]\nbytes_max = 1048576\n",
            Kind::Conflict,
            "/etc/till/till.toml:6: outbox.bytes_max: found segment_bytes 1048576 beside bytes_max 1048576; allowed: \
             segment_bytes up to half of bytes_max",
        ),
        (
            "[counter]\nid =\n",
            Kind::Syntax,
            "/etc/till/till.toml:6: is not TOML: string values must be quoted, expected literal string; allowed: \
             TOML 1.0",
        ),
        (
            "[log]\nlevel = \"info\"\nlevel = \"warn\"\n",
            Kind::Syntax,
            "/etc/till/till.toml:7: is not TOML: duplicate key; allowed: TOML 1.0",
        ),
        ("[port]\npath = \"\"\n", Kind::NotAllowed, "/etc/till/till.toml:6: port.path: found \"\"; allowed: a path"),
        (
            "[counter]\nid = 99999999999999999999\n",
            Kind::WrongType,
            "/etc/till/till.toml:6: counter.id: found 99999999999999999999; allowed: 1 to 4294967295",
        ),
    ];
    for (more, kind, text) in cases {
        let e = error(more);
        assert_eq!((e.to_string().as_str(), e.kind), (*text, *kind), "{more}");
    }
    let e = load(&["[tray.camera]\ntest = true\n"]).unwrap_err();
    assert_eq!(e.to_string(), "/etc/till/till.toml: tray.engine.dir: is missing; allowed: a path");
    let e = load(&[""]).unwrap_err();
    assert_eq!(
        e.to_string(),
        "/etc/till/till.toml: tray.camera: names no source; allowed: exactly one of v4l2, pipeline, file, rtsp, csi, test"
    );
    // A mistake in a later file is told with that file and its own line.
    let e = load(&[LEAST, "", "[port]\n\nbaud = 1\n"]).unwrap_err();
    assert!(e.to_string().starts_with("/etc/till/conf.d/20-counter.toml:3: port.baud: found 1;"), "{e}");
}

#[test]
fn lines_and_scales_are_named_once_and_only_where_they_are_read() {
    let devices = "[trigger]\nsource = \"devices\"\n";
    let presence = "[trigger.presence]\nchip = \"/dev/gpiochip1\"\noffset = 12\npull = \"up\"\n";
    let scale = "[trigger.scale]\nkind = \"toledo\"\nbaud = 4800\n";
    let config = load(&[&format!("{LEAST}{devices}{presence}{scale}")]).unwrap();
    assert!(config.trigger.source.has_scale());
    let TriggerSource::Devices { presence: Some(line), scale: Some(found) } = config.trigger.source else { panic!() };
    assert_eq!((line.place.to_string().as_str(), line.pull_up), ("/dev/gpiochip1 line 12", Some(true)));
    let path = PathBuf::from("/dev/till/scale");
    assert_eq!(found.source, ScaleSource::Serial { path, baud: 4_800, protocol: ScaleProtocol::Toledo });
    for (text, key) in [
        (devices.to_owned(), "trigger.source"),
        (scale.to_owned(), "trigger.source"),
        (format!("{devices}[trigger.presence]\noffset = 3\n"), "trigger.presence.chip"),
        (format!("{devices}{presence}line = \"GPIO09\"\n"), "trigger.presence.line"),
        (format!("{devices}[trigger.scale]\nkind = \"iio\"\nbaud = 4800\n"), "trigger.scale.baud"),
        (format!("{devices}{scale}device = \"hx711\"\n"), "trigger.scale.device"),
        (format!("{devices}[trigger.scale]\nmax_g = 3000\n"), "trigger.scale.kind"),
    ] {
        assert_eq!(error(&text).key, key, "{text}");
    }
}

#[test]
fn files_are_read_in_the_order_of_their_names_and_other_names_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("till.toml");
    let missing = Config::load(&file).unwrap_err();
    assert_eq!(missing.kind, Kind::Unreadable);
    assert_eq!(
        missing.to_string(),
        format!(
            "{}: can't be read: No such file or directory (os error 2); allowed: a file that this user may read",
            file.display()
        )
    );
    fs::write(&file, LEAST).unwrap();
    assert_eq!(Config::load(&file).unwrap().counter.id, 1);
    let parts = folder.path().join("conf.d");
    fs::create_dir(&parts).unwrap();
    fs::write(parts.join("20.toml"), "counter.id = 20\n").unwrap();
    fs::write(parts.join("10.toml"), "counter.id = 10\n").unwrap();
    fs::write(parts.join("30.toml.old"), "counter.id = 30\n").unwrap();
    let config = Config::load(&file).unwrap();
    assert_eq!((config.counter.id, config.files.len()), (20, 3));

    fs::write(parts.join("40.toml"), b"# \xff\n").unwrap();
    let e = Config::load(&file).unwrap_err();
    assert_eq!(
        e.to_string(),
        format!("{}: is not UTF-8 from byte 2 on; allowed: TOML in UTF-8", parts.join("40.toml").display())
    );
    fs::write(parts.join("40.toml"), vec![b'#'; FILE_BYTES_MAX as usize + 1]).unwrap();
    let e = Config::load(&file).unwrap_err();
    assert!(e.to_string().ends_with("is larger than 1 MiB; allowed: TOML of at most 1 MiB"), "{e}");
}

#[test]
fn outputs_and_the_ladder_are_read_and_contradictions_named() {
    let outputs = "[output.lock]\nline = \"GATE\"\nactive_low = true\non = \"paid\"\npulse_ms = 5000\nsafe = \"on\"\n\
                   [output.lamp]\nchip = \"/dev/gpiochip0\"\noffset = 12\non = \"attention, staff\"\n";
    let found = load(&[LEAST, outputs]).unwrap().outputs;
    let lamp = Output {
        name: "lamp",
        place: LinePlace::At("/dev/gpiochip0".into(), 12),
        active_low: false,
        on: vec![Sign::Attention, Sign::Staff],
        pulse_ms: 0,
        safe: false,
    };
    let place = LinePlace::Named("GATE".into());
    let lock = Output { name: "lock", place, active_low: true, on: vec![Sign::Paid], pulse_ms: 5_000, safe: true };
    assert_eq!(found, [lamp, lock]);
    for (text, key) in [
        ("[output.lamp]\nline = \"A\"\n", "output.lamp.on"),
        ("[output.buzzer]\non = \"live\"\n", "output.buzzer.line"),
        ("[output.buzzer]\non = \"live\"\noffset = 3\n", "output.buzzer.chip"),
        ("[output.lock]\nline = \"A\"\non = \"paid, paid\"\n", "output.lock.on"),
        ("[output.lock]\nline = \"A\"\non = \"open\"\n", "output.lock.on"),
        ("[ladder]\nwarm_c = 90\n", "ladder.warm_c"),
        ("[ladder]\nwarm_c = 80\nhot_c = 80\n", "ladder.hot_c"),
    ] {
        let error = load(&[LEAST, text]).unwrap_err();
        assert_eq!(error.key, key, "{error}");
    }
}

/// Holds the structs of `raw` against the list of keys: the names, and word by word what the docs say.
#[test]
fn the_structs_and_the_list_of_keys_say_the_same() {
    let mut doc = Vec::new();
    let mut section = "";
    let mut seen = Vec::new();
    for line in include_str!("raw.rs").lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("/// ") {
            doc.push(text);
            continue;
        }
        if line.starts_with("pub struct") {
            section = doc[0].trim_start_matches("`[").split(']').next().unwrap();
        } else if let Some((name, kind)) = line.strip_prefix("pub ").and_then(|l| l.split_once(": Field<")) {
            let key = keys::of(section).find(|k| k.name == name).unwrap_or_else(|| panic!("{section}.{name}"));
            let unit = if key.unit.is_empty() { String::new() } else { format!("Unit: {}. ", key.unit) };
            let end = format!("{unit}Default: {}.", key.default);
            assert_eq!(doc, [key.what, end.as_str()], "{section}.{name}");
            let is_number = matches!(key.allowed, Allowed::Int(..) | Allowed::Numbers(_));
            assert_eq!(kind.starts_with("i64"), is_number, "{section}.{name}");
            seen.push((section, name));
        }
        if !line.starts_with("#[") {
            doc.clear();
        }
    }
    let listed: Vec<_> = keys::KEYS.iter().map(|k| (k.section, k.name)).collect();
    assert_eq!(seen, listed);
}

/// serde's own word on which keys there are, against the list.
#[test]
fn serde_refuses_what_the_list_does_not_name() {
    for (section, ..) in SECTIONS {
        let e = toml::from_str::<raw::Till>(&format!("[{section}]\nzzz = 1\n")).unwrap_err();
        for key in keys::of(section) {
            assert!(e.message().contains(&format!("`{}`", key.name)), "{section}.{}: {}", key.name, e.message());
        }
    }
}

#[test]
fn the_page_of_the_configuration_is_the_list_of_keys() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let written = keys::page();
    if std::env::var_os("TILL_BLESS").is_some() {
        fs::write(&path, &written).unwrap();
    }
    let stands = fs::read_to_string(&path).unwrap_or_default();
    assert!(stands == written, "docs/configuration.md is not what the keys say; run the tests with TILL_BLESS=1");
}

#[test]
fn a_slip_finds_its_key_and_a_stranger_finds_none() {
    let known = ["threads", "backend", "dir"];
    for (slip, meant) in [
        ("thread", Some("threads")),
        ("Backend", Some("backend")),
        ("dri", Some("dir")),
        ("bcakend", Some("backend")),
        ("colour", None),
        ("", None),
    ] {
        assert_eq!(nearest(slip, &known), meant, "{slip}");
    }
}

/// Lines that are nearly right reach further than bytes at random.
fn line() -> impl Strategy<Value = String> {
    let names: Vec<&str> = SECTIONS.iter().map(|s| s.0).chain(keys::KEYS.iter().map(|k| k.name)).collect();
    let name = prop_oneof![4 => prop::sample::select(names), 1 => Just("x.\"\\u0000\"")];
    let value = prop_oneof![
        Just("true".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        Just("99999999999999999999".to_owned()),
        "[a-zé:/@\\\\]{0,80}".prop_map(|s| format!("{s:?}")),
        Just("[[{a=1}], 1979-05-27]".to_owned()),
        Just("{ test = true, é = 1 }".to_owned()),
        Just("'''\n\n'''".to_owned()),
    ];
    (name, value, 0..3).prop_map(|(name, value, form)| match form {
        0 => format!("[{name}]\n"),
        _ => format!("{name} = {value}\n"),
    })
}

proptest! {
    #[test]
    fn no_bytes_panic(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 1..3)) {
        let texts = parts.iter().map(|p| ("f".into(), String::from_utf8_lossy(p).into_owned()));
        if let Err(e) = Config::from_texts(texts) {
            prop_assert!(!e.to_string().contains('\n'));
        }
    }

    #[test]
    fn nothing_nearly_right_panics(parts in prop::collection::vec(prop::collection::vec(line(), 0..12), 1..4)) {
        let texts = parts.iter().map(|p| ("f".into(), format!("{LEAST}{}", p.concat())));
        if let Err(e) = Config::from_texts(texts) {
            prop_assert!(!e.to_string().contains('\n') && e.found.len() <= 400, "{}", e);
        }
    }
}

#[test]
fn the_demo_stores_configuration_is_right_and_its_files_are_there() {
    let config = Config::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/till.toml")).unwrap();
    let CameraSource::File { path, repeat: true } = config.tray.camera.source else { panic!("no footage") };
    let TriggerSource::Script(script) = config.trigger.source else { panic!("no script") };
    for file in [path, script, config.counter.catalogue] {
        assert!(file.is_file(), "{} is missing", file.display());
    }
}
