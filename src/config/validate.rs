//! Raw to validated: defaults, limits, paths made whole, and the keys that must agree with each other.

use std::path::{Path, PathBuf};

use log::LevelFilter;

use super::error::{ConfigError, ConfigErrorKind as Kind};
use super::keys::{self, Allowed, Fallback, Key, SOURCES};
use super::raw::{self, Field};
use super::source::Sources;
use super::*;

type Result<T> = std::result::Result<T, ConfigError>;

/// Makes a configuration of what the files say.
pub fn validate(sources: &Sources, raw: &raw::Till) -> Result<Config> {
    let section = |name| Section { sources, name };
    let face = match &raw.face.camera {
        Some(c) => {
            let engines = section("face.engine");
            Some(Face {
                camera: camera(&section("face.camera"), c.get_ref(), c.span().start)?,
                detector: engines.path("detector", &raw.face.engine.detector)?,
                embedder: engines.path("embedder", &raw.face.engine.embedder)?,
                liveness: engines.path_if("liveness", &raw.face.engine.liveness)?,
            })
        }
        None => None,
    };
    Ok(Config {
        counter: counter(&section("counter"), &raw.counter)?,
        tray: Tray {
            camera: camera(&section("tray.camera"), &raw.tray.camera, 0)?,
            engine: engine(&section("tray.engine"), &raw.tray.engine)?,
        },
        face,
        trigger: trigger(&section("trigger"), &raw.trigger)?,
        outputs: outputs(&section("output.lamp"), &raw.output)?,
        checkout: checkout(&section("checkout"), &raw.checkout)?,
        port: port(&section("port"), &raw.port)?,
        link: link(&section("link"), &raw.link)?,
        outbox: outbox(&section("outbox"), &raw.outbox)?,
        people: people(&section("people"), &raw.people)?,
        ladder: ladder(&section("ladder"), &raw.ladder)?,
        upgrade: Upgrade { rollback: section("upgrade").switch("rollback", &raw.upgrade.rollback) },
        log: Log { level: level(&section("log"), &raw.log)? },
        files: sources.iter().map(|(s, _)| s.path.clone()).collect(),
    })
}

/// Reads the fields of one section.
struct Section<'a> {
    sources: &'a Sources,
    name: &'static str,
}

impl Section<'_> {
    /// Another section of the same files.
    fn beside(&self, name: &'static str) -> Self {
        Self { sources: self.sources, name }
    }

    /// The list names every field (a test walks through all of them), so input can't reach the panic.
    fn key(&self, name: &str) -> &'static Key {
        keys::of(self.name).find(|k| k.name == name).expect("each field is in the list of keys")
    }

    fn error<T>(&self, kind: Kind, name: &str, field: &Field<T>, found: String, allowed: impl ToString) -> ConfigError {
        let at = field.as_ref().map(|f| f.span().start);
        self.sources.error(kind, at, format!("{}.{name}", self.name), found, allowed.to_string())
    }

    fn not_allowed<T>(&self, name: &str, field: &Field<T>) -> ConfigError {
        let found = field.as_ref().map_or(String::new(), |f| format!("found {}", self.sources.shown(&f.span())));
        self.error(Kind::NotAllowed, name, field, found, self.key(name).allowed)
    }

    fn missing(&self, name: &str) -> ConfigError {
        self.error(Kind::Missing, name, &None::<toml::Spanned<()>>, "is missing".into(), self.key(name).allowed)
    }

    fn int<T: TryFrom<i64>>(&self, name: &str, field: &Field<i64>) -> Result<T> {
        let key = self.key(name);
        let value = match (field, key.default) {
            (Some(f), _) => *f.get_ref(),
            (None, Fallback::Int(n)) => n,
            (None, _) => return Err(self.missing(name)),
        };
        let fits = match key.allowed {
            Allowed::Int(min, max) => (min..=max).contains(&value),
            Allowed::Numbers(all) => all.contains(&value),
            _ => false,
        };
        T::try_from(value).ok().filter(|_| fits).ok_or_else(|| self.not_allowed(name, field))
    }

    /// As [`Section::int`], of a key that may stay away.
    fn int_if<T: TryFrom<i64>>(&self, name: &str, field: &Field<i64>) -> Result<Option<T>> {
        field.as_ref().map(|_| self.int(name, field)).transpose()
    }

    fn switch(&self, name: &str, field: &Field<bool>) -> bool {
        field.as_ref().map_or(matches!(self.key(name).default, Fallback::Bool(true)), |f| *f.get_ref())
    }

    fn text<'a>(&self, name: &str, field: &'a Field<String>) -> Result<&'a str> {
        let key = self.key(name);
        let value = match (field, key.default) {
            (Some(f), _) => f.get_ref().as_str(),
            (None, Fallback::Text(t)) => t,
            (None, _) => return Err(self.missing(name)),
        };
        let fits = match key.allowed {
            Allowed::Words(all) => all.contains(&value),
            _ => !value.trim().is_empty(),
        };
        if fits { Ok(value) } else { Err(self.not_allowed(name, field)) }
    }

    /// As [`Section::path`], of a key that may stay away.
    fn path_if(&self, name: &str, field: &Field<String>) -> Result<Option<PathBuf>> {
        field.as_ref().map(|_| self.path(name, field)).transpose()
    }

    /// A relative path starts at the folder of the file it is written in.
    fn path(&self, name: &str, field: &Field<String>) -> Result<PathBuf> {
        let value = Path::new(self.text(name, field)?);
        if value.as_os_str().as_encoded_bytes().contains(&0) {
            return Err(self.not_allowed(name, field));
        }
        let at = field.as_ref().map(|f| f.span().start);
        Ok(match at.and_then(|at| self.sources.file(at).parent()) {
            Some(folder) => folder.join(value),
            None => value.to_owned(),
        })
    }
}

/// `[people]` as without a configuration.
pub fn people_default() -> People {
    let sources = Sources::default();
    let section = Section { sources: &sources, name: "people" };
    // Nothing is written, so nothing can be wrong with it; a test holds every default to what is allowed.
    people(&section, &raw::People::default()).expect("the defaults are allowed")
}

fn counter(s: &Section, raw: &raw::Counter) -> Result<Counter> {
    let code = s.text("currency", &raw.currency)?;
    let currency = <[u8; 3]>::try_from(code.as_bytes()).ok().filter(|c| c.iter().all(u8::is_ascii_uppercase));
    Ok(Counter {
        id: s.int("id", &raw.id)?,
        state_dir: s.path("state_dir", &raw.state_dir)?,
        control: s.path("control", &raw.control)?,
        catalogue: s.path("catalogue", &raw.catalogue)?,
        currency: currency.ok_or_else(|| s.not_allowed("currency", &raw.currency))?,
    })
}

/// `at` is where the section stands, for the error that it names no source.
fn camera(s: &Section, raw: &raw::Camera, at: usize) -> Result<Camera> {
    let written: Vec<(&str, usize)> = [
        ("v4l2", raw.v4l2.as_ref().map(|f| f.span().start)),
        ("pipeline", raw.pipeline.as_ref().map(|f| f.span().start)),
        ("file", raw.file.as_ref().map(|f| f.span().start)),
        ("rtsp", raw.rtsp.as_ref().map(|f| f.span().start)),
        ("csi", raw.csi.as_ref().map(|f| f.span().start)),
        ("test", raw.test.as_ref().map(|f| f.span().start)),
    ]
    .into_iter()
    .filter_map(|(name, at)| Some((name, at?)))
    .collect();
    let exactly_one = format!("exactly one of {}", SOURCES.join(", "));
    let source = match written.as_slice() {
        [("v4l2", _)] => CameraSource::V4l2 {
            path: s.path("v4l2", &raw.v4l2)?,
            buffers: s.int("buffers", &raw.buffers)?,
            controls: CameraControls {
                exposure_us: s.int_if("exposure_us", &raw.exposure_us)?,
                white_balance_k: s.int_if("white_balance_k", &raw.white_balance_k)?,
                focus: s.int_if("focus", &raw.focus)?,
                gain: s.int_if("gain", &raw.gain)?,
                power_line_hz: s.int_if("power_line_hz", &raw.power_line_hz)?,
            },
        },
        [("pipeline", _)] => CameraSource::Pipeline(s.text("pipeline", &raw.pipeline)?.to_owned()),
        [("file", _)] => {
            CameraSource::File { path: s.path("file", &raw.file)?, repeat: s.switch("repeat", &raw.repeat) }
        }
        [("rtsp", _)] => {
            let url = s.text("rtsp", &raw.rtsp)?;
            if !["rtsp://", "rtsps://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme)) {
                return Err(s.not_allowed("rtsp", &raw.rtsp));
            }
            CameraSource::Rtsp(url.to_owned())
        }
        [("csi", _)] => CameraSource::Csi(s.int("csi", &raw.csi)?),
        [("test", _)] if s.switch("test", &raw.test) => CameraSource::Test,
        [("test", _)] => return Err(s.not_allowed("test", &raw.test)),
        [] => {
            let at = (at > 0).then_some(at);
            return Err(s.sources.error(Kind::Missing, at, s.name, "names no source", exactly_one));
        }
        several => {
            let names: Vec<&str> = several.iter().map(|(name, _)| *name).collect();
            let at = several.iter().map(|(_, at)| *at).max();
            return Err(s.sources.error(
                Kind::Conflict,
                at,
                s.name,
                format!("found {}", names.join(", ")),
                exactly_one,
            ));
        }
    };
    if raw.repeat.is_some() && !matches!(source, CameraSource::File { .. }) {
        let found = format!("found beside {}", written.first().map_or("", |(name, _)| name));
        return Err(s.error(Kind::Conflict, "repeat", &raw.repeat, found, "beside file only"));
    }
    let of_v4l2 = [
        ("buffers", &raw.buffers),
        ("exposure_us", &raw.exposure_us),
        ("white_balance_k", &raw.white_balance_k),
        ("focus", &raw.focus),
        ("gain", &raw.gain),
        ("power_line_hz", &raw.power_line_hz),
    ];
    if !matches!(source, CameraSource::V4l2 { .. })
        && let Some((name, field)) = of_v4l2.into_iter().find(|(_, field)| field.is_some())
    {
        let found = format!("found beside {}", written.first().map_or("", |(name, _)| name));
        return Err(s.error(Kind::Conflict, name, field, found, "beside v4l2 only"));
    }
    let (reopen_ms_min, reopen_ms_max) =
        (s.int("reopen_ms_min", &raw.reopen_ms_min)?, s.int("reopen_ms_max", &raw.reopen_ms_max)?);
    if reopen_ms_min > reopen_ms_max {
        let (name, field) = match raw.reopen_ms_max {
            Some(_) => ("reopen_ms_max", &raw.reopen_ms_max),
            None => ("reopen_ms_min", &raw.reopen_ms_min),
        };
        let found = format!("found reopen_ms_min {reopen_ms_min} above reopen_ms_max {reopen_ms_max}");
        return Err(s.error(Kind::Conflict, name, field, found, "reopen_ms_min up to reopen_ms_max"));
    }
    Ok(Camera {
        source,
        width: s.int("width", &raw.width)?,
        height: s.int("height", &raw.height)?,
        fps: s.int("fps", &raw.fps)?,
        first_frame_ms_max: s.int("first_frame_ms_max", &raw.first_frame_ms_max)?,
        stall_ms_max: s.int("stall_ms_max", &raw.stall_ms_max)?,
        reopen_ms_min,
        reopen_ms_max,
    })
}

fn engine(s: &Section, raw: &raw::Engine) -> Result<Engine> {
    // The list of keys allows these words and no others.
    let backend: Backend = s.text("backend", &raw.backend)?.parse().unwrap_or_default();
    let require = s.switch("require", &raw.require);
    if require && backend == Backend::Auto {
        let found = "found true beside backend \"auto\"".to_owned();
        return Err(s.error(Kind::Conflict, "require", &raw.require, found, "true beside a named backend"));
    }
    Ok(Engine {
        dir: s.path("dir", &raw.dir)?,
        backend,
        require,
        ort_dylib: raw.ort_dylib.as_ref().map(|_| s.path("ort_dylib", &raw.ort_dylib)).transpose()?,
        plans: raw.plans.as_ref().map(|_| s.path("plans", &raw.plans)).transpose()?,
        fp32: s.text("precision", &raw.precision)? == "fp32",
        int8: match s.text("int8", &raw.int8)? {
            "if-fast" => Int8::IfFast,
            "always" => Int8::Always,
            _ => Int8::No,
        },
        // -1 is no core.
        dla: u8::try_from(s.int::<i64>("dla", &raw.dla)?).ok(),
        pictures: raw.pictures.as_ref().map(|_| s.path("pictures", &raw.pictures)).transpose()?,
        threads: s.int("threads", &raw.threads)?,
    })
}

fn trigger(s: &Section, raw: &raw::Trigger) -> Result<Trigger> {
    let word = s.text("source", &raw.source)?;
    let source = match (word, &raw.script) {
        ("script", Some(_)) => TriggerSource::Script(s.path("script", &raw.script)?),
        ("script", None) => return Err(s.missing("script")),
        (_, Some(_)) => {
            let found = format!("found beside source {word:?}");
            return Err(s.error(Kind::Conflict, "script", &raw.script, found, "beside source = \"script\" only"));
        }
        ("devices", None) if raw.presence.is_none() && raw.scale.is_none() => {
            let found = "found \"devices\" without any".to_owned();
            let allowed = "beside [trigger.presence] or [trigger.scale]";
            return Err(s.error(Kind::Conflict, "source", &raw.source, found, allowed));
        }
        ("devices", None) => TriggerSource::Devices {
            presence: raw.presence.as_ref().map(|raw| presence(&s.beside("trigger.presence"), raw)).transpose()?,
            scale: raw.scale.as_ref().map(|raw| scale(&s.beside("trigger.scale"), raw)).transpose()?,
        },
        _ if raw.presence.is_some() || raw.scale.is_some() => {
            let found = format!("found {word:?} beside a section of devices");
            return Err(s.error(Kind::Conflict, "source", &raw.source, found, "\"devices\""));
        }
        _ => TriggerSource::None,
    };
    Ok(Trigger {
        source,
        debounce_ms: s.int("debounce_ms", &raw.debounce_ms)?,
        quiet_g: s.int("quiet_g", &raw.quiet_g)?,
        quiet_ms: s.int("quiet_ms", &raw.quiet_ms)?,
        load_present_g: s.int("load_present_g", &raw.load_present_g)?,
    })
}

/// A line is named, or found by chip and offset.
fn place(s: &Section, line: &Field<String>, chip: &Field<String>, offset: &Field<i64>) -> Result<LinePlace> {
    match (line, chip, offset) {
        (Some(_), None, None) => Ok(LinePlace::Named(s.text("line", line)?.to_owned())),
        (None, Some(_), Some(_)) => Ok(LinePlace::At(s.path("chip", chip)?, s.int("offset", offset)?)),
        (None, None, None) => Err(s.missing("line")),
        (None, None, Some(_)) => Err(s.missing("chip")),
        (None, Some(_), None) => Err(s.missing("offset")),
        (Some(_), ..) => {
            let found = "found beside chip or offset".to_owned();
            Err(s.error(Kind::Conflict, "line", line, found, "line, or chip and offset"))
        }
    }
}

fn outputs(s: &Section, raw: &raw::Outputs) -> Result<Vec<Output>> {
    let all = [
        ("lamp", "output.lamp", &raw.lamp),
        ("buzzer", "output.buzzer", &raw.buzzer),
        ("lock", "output.lock", &raw.lock),
    ];
    all.into_iter().filter_map(|(name, section, raw)| Some(output(&s.beside(section), name, raw.as_ref()?))).collect()
}

fn output(s: &Section, name: &'static str, raw: &raw::Output) -> Result<Output> {
    Ok(Output {
        name,
        place: place(s, &raw.line, &raw.chip, &raw.offset)?,
        active_low: s.switch("active_low", &raw.active_low),
        on: signs(s, &raw.on)?,
        pulse_ms: s.int("pulse_ms", &raw.pulse_ms)?,
        safe: s.text("safe", &raw.safe)? == "on",
    })
}

fn signs(s: &Section, field: &Field<String>) -> Result<Vec<Sign>> {
    let mut signs = Vec::new();
    for word in s.text("on", field)?.split(',').map(str::trim) {
        let sign = match word {
            "live" => Sign::Live,
            "paid" => Sign::Paid,
            "attention" => Sign::Attention,
            "staff" => Sign::Staff,
            _ => return Err(s.not_allowed("on", field)),
        };
        if signs.contains(&sign) {
            return Err(s.not_allowed("on", field));
        }
        signs.push(sign);
    }
    Ok(signs)
}

fn ladder(s: &Section, raw: &raw::Ladder) -> Result<Ladder> {
    let (warm_c, hot_c) = (s.int("warm_c", &raw.warm_c)?, s.int("hot_c", &raw.hot_c)?);
    if hot_c <= warm_c {
        let (name, field) = if raw.hot_c.is_some() { ("hot_c", &raw.hot_c) } else { ("warm_c", &raw.warm_c) };
        let found = format!("found warm_c {warm_c} beside hot_c {hot_c}");
        return Err(s.error(Kind::Conflict, name, field, found, "hot_c above warm_c"));
    }
    Ok(Ladder {
        warm_c,
        hot_c,
        supply_mv_min: s.int("supply_mv_min", &raw.supply_mv_min)?,
        down_s: s.int("down_s", &raw.down_s)?,
        up_s: s.int("up_s", &raw.up_s)?,
    })
}

fn presence(s: &Section, raw: &raw::Presence) -> Result<Presence> {
    let place = place(s, &raw.line, &raw.chip, &raw.offset)?;
    let pull_up = match s.text("pull", &raw.pull)? {
        "up" => Some(true),
        "down" => Some(false),
        _ => None,
    };
    Ok(Presence { place, active_low: s.switch("active_low", &raw.active_low), pull_up })
}

fn scale(s: &Section, raw: &raw::Scale) -> Result<Scale> {
    let max_g = s.int("max_g", &raw.max_g)?;
    let protocol = match s.text("kind", &raw.kind)? {
        "toledo" => Some(ScaleProtocol::Toledo),
        "and" => Some(ScaleProtocol::And),
        _ => None,
    };
    let source = match protocol {
        Some(protocol) => {
            if raw.device.is_some() {
                let found = "found beside a scale on a serial line".to_owned();
                return Err(s.error(Kind::Conflict, "device", &raw.device, found, "beside kind = \"iio\" only"));
            }
            ScaleSource::Serial { path: s.path("path", &raw.path)?, baud: s.int("baud", &raw.baud)?, protocol }
        }
        None => {
            for (name, at) in [
                ("path", raw.path.as_ref().map(|f| f.span().start)),
                ("baud", raw.baud.as_ref().map(|f| f.span().start)),
            ] {
                if at.is_some() {
                    let key = format!("{}.{name}", s.name);
                    let allowed = "beside a scale on a serial line only";
                    return Err(s.sources.error(Kind::Conflict, at, key, "found beside kind \"iio\"", allowed));
                }
            }
            ScaleSource::Iio(s.text("device", &raw.device)?.to_owned())
        }
    };
    Ok(Scale { source, max_g })
}

fn checkout(s: &Section, raw: &raw::Checkout) -> Result<Checkout> {
    Ok(Checkout {
        settle_ms: s.int("settle_ms", &raw.settle_ms)?,
        votes_min: s.int("votes_min", &raw.votes_min)?,
        clear_ms: s.int("clear_ms", &raw.clear_ms)?,
        attention_ms: s.int("attention_ms", &raw.attention_ms)?,
    })
}

fn port(s: &Section, raw: &raw::Port) -> Result<Port> {
    Ok(Port { path: s.path("path", &raw.path)?, baud: s.int("baud", &raw.baud)? })
}

/// A key that is not used, or security without a key, is somebody's mistake.
fn link(s: &Section, raw: &raw::Link) -> Result<Link> {
    let key_file = match (s.switch("secure", &raw.secure), &raw.key_file) {
        (true, Some(_)) => Some(s.path("key_file", &raw.key_file)?),
        (true, None) => return Err(s.missing("key_file")),
        (false, Some(_)) => {
            let found = "found without secure = true".to_owned();
            return Err(s.error(Kind::Conflict, "key_file", &raw.key_file, found, "beside secure = true only"));
        }
        (false, None) => None,
    };
    Ok(Link { key_file, thumbnails: s.switch("thumbnails", &raw.thumbnails) })
}

fn outbox(s: &Section, raw: &raw::Outbox) -> Result<Outbox> {
    let bytes_max = s.int("bytes_max", &raw.bytes_max)?;
    let segment_bytes = s.int("segment_bytes", &raw.segment_bytes)?;
    if segment_bytes > bytes_max / 2 {
        let (name, field) = match raw.segment_bytes {
            Some(_) => ("segment_bytes", &raw.segment_bytes),
            None => ("bytes_max", &raw.bytes_max),
        };
        let found = format!("found segment_bytes {segment_bytes} beside bytes_max {bytes_max}");
        return Err(s.error(Kind::Conflict, name, field, found, "segment_bytes up to half of bytes_max"));
    }
    Ok(Outbox { bytes_max, segment_bytes })
}

fn people(s: &Section, raw: &raw::People) -> Result<People> {
    Ok(People {
        key_file: s.path_if("key_file", &raw.key_file)?,
        retention_months: s.int("retention_months", &raw.retention_months)?,
        target_fpir_ppm: s.int("target_fpir_ppm", &raw.target_fpir_ppm)?,
        poses: poses(s, &raw.poses)?,
        liveness: match s.text("liveness", &raw.liveness)? {
            "required" => Liveness::Required,
            "off" => Liveness::Off,
            _ => Liveness::Advisory,
        },
    })
}

/// The turned poses are measured from the front one, so that comes first.
fn poses(s: &Section, field: &Field<String>) -> Result<Vec<Facing>> {
    let mut poses = Vec::new();
    for word in s.text("poses", field)?.split(',').map(str::trim) {
        let pose = match word {
            "front" => Facing::Front,
            "right" => Facing::Right,
            "down" => Facing::Down,
            "left" => Facing::Left,
            _ => return Err(s.not_allowed("poses", field)),
        };
        if poses.contains(&pose) || (poses.is_empty() && pose != Facing::Front) {
            return Err(s.not_allowed("poses", field));
        }
        poses.push(pose);
    }
    Ok(poses)
}

fn level(s: &Section, raw: &raw::Log) -> Result<LevelFilter> {
    s.text("level", &raw.level)?.parse().map_err(|_| s.not_allowed("level", &raw.level))
}
