//! The counter on the stub: it sells, whatever becomes of the plan, and takes a fresh one while it runs.

use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use till::engine::tensorrt::library::header;

use super::lifecycle::{Bench, root};

/// The demo store with the bench's engine in place of its own.
fn store(bench: &Bench) -> PathBuf {
    let store = bench.stub.path().join("demo");
    std::fs::create_dir(&store).unwrap();
    let text = std::fs::read_to_string(root().join("demo/till.toml")).unwrap();
    let dir = text.lines().find(|l| l.trim_start().starts_with("dir ")).expect("demo/till.toml names its engine");
    let ours = format!("dir = {:?}\nplans = {:?}", bench.engine, bench.engine.join("plans"));
    std::fs::write(store.join("till.toml"), text.replace(dir, &ours)).unwrap();
    for name in ["catalogue.csv", "clips"] {
        std::os::unix::fs::symlink(root().join("demo").join(name), store.join(name)).unwrap();
    }
    store
}

/// Sells one item to a receipt; what the demo says, and the log.
fn sell(bench: &Bench, store: &Path, pace: &[&str]) -> (Value, String) {
    let args = [&["demo", "--json", "--store", store.to_str().unwrap(), "--clip", "one-item"], pace].concat();
    let done = bench.till(&args);
    let talk = String::from_utf8_lossy(&done.stderr).into_owned();
    let json: Value = serde_json::from_slice(&done.stdout).unwrap_or_else(|e| panic!("{e}: {talk}"));
    assert!(json["matched"] == json["expected"] && json["matched"].as_u64() > Some(0), "{json}: {talk}");
    (json, talk)
}

#[test]
fn the_counter_sells_through_everything_that_can_happen_to_a_plan() {
    let Some(bench) = Bench::new("engines/demo") else { return };
    let store = store(&bench);
    let backend = || sell(&bench, &store, &["--fast"]).0["backend"].as_str().unwrap().to_owned();
    let plan = || {
        let name = bench.files().into_iter().find(|f| f.ends_with(".plan"));
        name.map(|name| bench.engine.join("plans").join(name))
    };
    // Nothing comes of the first builds, and each time an item is sold while it goes on: crashed, no memory, no end,
    // wrong numbers.
    for (fault, more) in
        [("crash", &[][..]), ("hog", &["--memory-mib", "400"]), ("hang", &["--time-s", "2"]), ("numbers", &[])]
    {
        bench.stub.plant(fault);
        let build = bench.begin(more);
        assert_eq!(backend(), "onnxruntime", "beside {fault}");
        let (exit, row) = Bench::ended(build);
        assert_eq!((exit, plan()), (6, None), "{fault}: {row}");
    }
    assert!(bench.files().iter().any(|f| f.ends_with(".bad.txt")), "wrong numbers are kept with their reason");
    // Killed from outside in the middle of a sale, as the kernel does when memory runs out.
    bench.stub.plant("hang");
    let build = bench.begin(&[]);
    let seller = std::thread::scope(|scope| {
        let sale = scope.spawn(backend);
        kill_builder_of(&build);
        sale.join().unwrap()
    });
    let (exit, row) = Bench::ended(build);
    assert!(exit == 6 && row["problem"].as_str().unwrap().contains("signal 9"), "{row}");
    assert_eq!((seller.as_str(), plan()), ("onnxruntime", None));
    bench.stub.plant("");
    assert_eq!(bench.build(&[]).0, 0);
    assert_eq!(backend(), "tensorrt");
    // A build that fails beside a good plan changes nothing.
    bench.stub.plant("crash");
    let build = bench.begin(&["--force"]);
    assert_eq!(backend(), "tensorrt");
    assert_eq!(Bench::ended(build).0, 6);
    bench.stub.plant("");
    assert_eq!(backend(), "tensorrt");
    // Another patch of TensorRT, as after an upgrade, and another GPU: the plan is none of theirs.
    for change in ["patch", "device 7 2 1"] {
        bench.stub.plant(change);
        assert_eq!(backend(), "onnxruntime", "{change}");
    }
    // No GPU: one clear line says so.
    bench.stub.plant("nogpu");
    let (json, talk) = sell(&bench, &store, &["--fast"]);
    assert_eq!(
        (json["backend"].as_str(), talk.matches("CUDA sees no GPU").count()),
        (Some("onnxruntime"), 1),
        "{talk}"
    );
    // A damaged plan is set aside.
    bench.stub.plant("");
    let file = plan().unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert_eq!(backend(), "onnxruntime");
    assert!(file.with_extension("bad").exists() && plan().is_none());
}

/// Ends the process that builds, once there is one.
fn kill_builder_of(build: &Child) {
    let id = build.id();
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        if let Some(child) = children.split_whitespace().next() {
            // It hangs from the moment on that it has loaded the library; killed before, it is killed all the same.
            assert!(Command::new("kill").args(["-9", child]).status().unwrap().success());
            return;
        }
        assert!(Instant::now() < end, "there is no builder");
        std::thread::yield_now();
    }
}

/// A disk of its own with room for `bytes`, seen through the namespace of the process that holds it; `None`, with a
/// word, where the kernel gives none.
struct Disk {
    holder: Child,
    place: PathBuf,
    // A mount whose folder goes is gone too.
    _folder: tempfile::TempDir,
}

impl Disk {
    fn new(bytes: u64) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount = folder.path();
        let script = format!("mount -t tmpfs -o size={bytes} none {mount:?} && echo ready && exec cat");
        let spawned = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut holder = spawned.inspect_err(|e| println!("skipped: unshare: {e}")).ok()?;
        let mut line = String::new();
        let _ = BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line);
        if line != "ready\n" {
            println!("skipped: no disk of our own can be had here");
            let _ = holder.wait();
            return None;
        }
        let place = PathBuf::from(format!("/proc/{}/root", holder.id())).join(mount.strip_prefix("/").unwrap());
        Some(Self { holder, place, _folder: folder })
    }

    /// Leaves no byte.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.place.join("rubbish")).unwrap();
        for block in [1 << 16, 1] {
            while file.write_all(&vec![0; block]).is_ok() {}
        }
        let e = std::fs::write(self.place.join("more"), [0; 8192]).unwrap_err();
        assert_eq!(e.kind(), std::io::ErrorKind::StorageFull);
        let _ = std::fs::remove_file(self.place.join("more"));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

#[test]
fn the_counter_sells_while_the_disk_of_the_plans_is_full() {
    let Some(bench) = Bench::new("engines/demo") else { return };
    let (major, _, rtx) = header();
    if rtx || major > 8 {
        return println!("skipped: the disk is the same for every version; tried with 8.2");
    }
    let Some(disk) = Disk::new(24 << 20) else { return };
    std::os::unix::fs::symlink(&disk.place, bench.engine.join("plans")).unwrap();
    let store = store(&bench);
    let backend = || sell(&bench, &store, &["--fast"]).0["backend"].as_str().unwrap().to_owned();
    let plan = || bench.files().into_iter().find(|f| f.ends_with(".plan")).map(|name| disk.place.join(name));
    let full = |row: &Value| row["problem"].as_str().is_some_and(|p| p.contains("No space left on device"));
    // No plan yet, and no room for one.
    disk.fill();
    let build = bench.begin(&[]);
    assert_eq!(backend(), "onnxruntime");
    let (exit, row) = Bench::ended(build);
    assert!(exit == 6 && full(&row) && plan().is_none(), "{row}");
    // A good plan fills it up to the last byte: the next one has no room, and the good one serves on.
    std::fs::remove_file(disk.place.join("rubbish")).unwrap();
    assert_eq!(bench.build(&[]).0, 0);
    let file = plan().unwrap();
    let good = std::fs::read(&file).unwrap();
    disk.fill();
    let build = bench.begin(&["--force"]);
    assert_eq!(backend(), "tensorrt");
    let (exit, row) = Bench::ended(build);
    assert!(exit == 6 && full(&row), "{row}");
    assert_eq!(std::fs::read(&file).unwrap(), good);
    assert_eq!(backend(), "tensorrt");
    // Nor is there room for the reason why a damaged one is set aside.
    let mut damaged = std::fs::OpenOptions::new().write(true).open(&file).unwrap();
    damaged.seek(SeekFrom::Start(good.len() as u64 / 2)).unwrap();
    damaged.write_all(b"damage").unwrap();
    drop(damaged);
    assert_eq!(backend(), "onnxruntime");
    assert!(plan().is_none() && bench.files().iter().any(|f| f.ends_with(".bad")), "{:?}", bench.files());
}

#[test]
fn a_gpu_that_fails_beneath_a_sale_is_reset_or_left_and_the_sale_goes_on() {
    let Some(bench) = Bench::new("engines/demo") else { return };
    let store = store(&bench);
    assert_eq!(bench.build(&[]).0, 0);
    for (fault, backend) in [
        // An illegal address once: reset, loaded anew, answered.
        ("enqueue 700 1 5", "tensorrt"),
        // For ever, at each call that an inference makes: the next rung sells.
        ("enqueue 1 1000000 5", "onnxruntime"),
        ("cudaStreamSynchronize 719 1000000 9", "onnxruntime"),
        ("cudaMemcpyAsync 2 1000000 20", "onnxruntime"),
    ] {
        bench.stub.plant(fault);
        assert_eq!(sell(&bench, &store, &[]).0["backend"], backend, "{fault}");
    }
}

/// A daemon that does not outlive the test.
struct Daemon {
    child: Child,
    socket: PathBuf,
    log: PathBuf,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Daemon {
    /// On a test camera, with these lines in `[tray.engine]`; `libraries` is where TensorRT is looked for.
    fn start(bench: &Bench, engine: &str, libraries: &Path) -> Self {
        let folder = bench.stub.path();
        let (config, socket, log) = (folder.join("till.toml"), folder.join("ctl.sock"), folder.join("log"));
        let text = format!(
            "[counter]\nstate_dir = {:?}\ncontrol = {socket:?}\ncatalogue = {:?}\n[tray.camera]\ntest = true\n\
             [tray.engine]\ndir = {:?}\n{engine}\n[port]\npath = \"/nowhere/pos\"\n",
            folder.join("state"),
            root().join("demo/catalogue.csv"),
            bench.engine,
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_till"))
            .args(["run", "--config", config.to_str().unwrap()])
            .env("LD_LIBRARY_PATH", libraries)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self { child, socket, log }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Asks until the engine's status is as wanted.
    fn until(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + Duration::from_secs(120);
        loop {
            let asked = Command::new(env!("CARGO_BIN_EXE_till"))
                .args(["status", "--json", "--control", self.socket.to_str().unwrap()])
                .output()
                .unwrap();
            let status: Value = serde_json::from_slice(&asked.stdout).unwrap_or_default();
            if wanted(&status["engine"]) {
                return status["engine"].clone();
            }
            assert_eq!(self.child.try_wait().unwrap(), None, "{}", self.log());
            assert!(Instant::now() < end, "not {what}: {status}\n{}", self.log());
        }
    }
}

#[test]
fn after_an_upgrade_the_counter_starts_on_the_cpu_and_takes_the_plan_when_it_is_there() {
    let Some(bench) = Bench::new("tests/data/blobs") else { return };
    let mut daemon = Daemon::start(&bench, "", bench.stub.path());
    let engine = daemon.until("on the CPU", |e| e["backend"] == "onnxruntime");
    assert!(engine["reason"].as_str().unwrap().contains("till engine build"), "{engine}");
    assert_eq!(engine["precision"], "fp32");
    let config = bench.stub.path().join("till.toml");
    let build = || {
        let done = bench.till(&["engine", "build", "--json", "--force", "--config", config.to_str().unwrap()]);
        serde_json::from_slice::<Value>(&done.stdout).unwrap()["engines"][0].clone()
    };
    // As till-plans.service does beside the counter. First a plan with wrong numbers: status tells.
    bench.stub.plant("numbers");
    assert!(build()["problem"].as_str().unwrap().contains("outputs differ"));
    let engine = daemon.until("in quarantine", |e| e["quarantined"].as_array().is_some_and(|q| !q.is_empty()));
    assert!(engine["quarantined"][0].as_str().unwrap().contains("outputs differ"), "{engine}");
    assert_eq!(engine["backend"], "onnxruntime");
    bench.stub.plant("");
    let row = build();
    assert_eq!(row["outcome"], "built and checked", "{row}");
    let engine =
        daemon.until("on the plan", |e| e["backend"] == "tensorrt" && e["quarantined"] == serde_json::json!([]));
    let (major, _, rtx) = header();
    let weak = !rtx && major < 11;
    assert_eq!((&engine["precision"], &engine["reason"]), (&if weak { "fp16" } else { "fp32" }.into(), &Value::Null));
}

#[test]
fn a_required_tensorrt_refuses_to_start_and_an_absent_one_costs_one_line() {
    let Some(bench) = Bench::new("tests/data/blobs") else { return };
    let mut daemon = Daemon::start(&bench, "backend = \"tensorrt\"\nrequire = true", bench.stub.path());
    let code = daemon.child.wait().unwrap().code().unwrap();
    assert!(code != 0 && daemon.log().contains("no checked plan"), "{code}: {}", daemon.log());
    // The same program where there is neither TensorRT nor CUDA.
    let empty = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(&bench, "", empty.path());
    let engine = daemon.until("up", |e| e["backend"] == "onnxruntime");
    let log = daemon.log();
    let lines: Vec<&str> = log.lines().filter(|l| l.contains("libnvinfer") || l.contains("libtensorrt_rtx")).collect();
    assert!(lines.len() == 1 && lines[0].contains("the CPU takes over"), "{log}");
    assert!(engine["reason"].as_str().unwrap().contains("cannot open shared object"), "{engine}");
}
