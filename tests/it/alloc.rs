//! No allocation on the way of a frame: slot, pre-processing, the engine's input, head, fusion. Counted on
//! the thread that looks; what an engine's library allocates for itself is counted apart and printed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use till::capture::{PixelFormat, Plane, slot};
use till::cli::picture;
use till::engine::manifest::Manifest;
use till::engine::null::Null;
use till::engine::second::SecondSpec;
use till::engine::{self, Backend, Choice, Engine, EngineError, EngineErrorKind, TensorSpec};
use till::gallery::{Gallery, Precision};
use till::people::{Decision, Evidence, FmrCurve, Policy, decision};
use till::vision::face::{FaceVision, Looked};
use till::vision::{Rules, Second, TrayVision};

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting for each thread.
struct Counting;

fn count() {
    // A thread that is going away counts no more.
    let _ = COUNT.try_with(|c| c.set(c.get() + 1));
}

// SAFETY: every call goes to the system's allocator unchanged; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of this thread while `f` runs.
pub fn allocations<T>(f: impl FnOnce() -> T) -> (T, u64) {
    let before = COUNT.get();
    let value = f();
    (value, COUNT.get() - before)
}

fn blobs() -> Manifest {
    Manifest::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/blobs")).unwrap()
}

/// An engine that finds the same things in each frame: one box a label, the hand apart.
fn null(manifest: &Manifest) -> Null {
    let labels = manifest.labels.names.len();
    let input = TensorSpec { name: manifest.input.name.clone(), shape: manifest.input.shape().to_vec() };
    let output = TensorSpec { name: manifest.head.outputs()[0].to_owned(), shape: vec![1, 4 + labels, 49] };
    let mut engine = Null::new(input, vec![output]);
    let out = engine.output_mut(0);
    for label in 0..labels - 1 {
        for (row, value) in [(0, 8.0 + 14.0 * label as f32), (1, 30.0), (2, 10.0), (3, 10.0), (4 + label, 0.9)] {
            out[row * 49 + label] = value;
        }
    }
    engine
}

/// An engine whose own allocations are counted apart.
struct Counted {
    engine: Box<dyn Engine>,
    own: Arc<AtomicU64>,
}

impl Engine for Counted {
    fn backend(&self) -> &'static str {
        self.engine.backend()
    }

    fn input(&self) -> &TensorSpec {
        self.engine.input()
    }

    fn outputs(&self) -> &[TensorSpec] {
        self.engine.outputs()
    }

    fn input_mut(&mut self) -> &mut [f32] {
        self.engine.input_mut()
    }

    fn run(&mut self) -> Result<(), EngineError> {
        let (result, count) = allocations(|| self.engine.run());
        self.own.fetch_add(count, Ordering::Relaxed);
        result
    }

    fn output(&self, index: usize) -> &[f32] {
        self.engine.output(index)
    }
}

/// A picture like any other: a ramp that differs from frame to frame.
fn fill(frame: &mut till::capture::Frame, n: u64) {
    let (width, height) = (640usize, 480usize);
    frame.data.resize(width * height * 2, 0);
    frame.data.iter_mut().enumerate().for_each(|(i, b)| *b = (i as u64).wrapping_mul(n + 3) as u8);
    (frame.format, frame.width, frame.height, frame.sequence) = (PixelFormat::Yuyv, 640, 480, n);
    frame.planes[0] = Plane { offset: 0, stride: width * 2 };
}

/// Frames through slot and vision; allocations of all but the first few, without those that `own` counts.
fn run(vision: &mut TrayVision, frames: u64, own: &AtomicU64) -> u64 {
    let (mut writer, mut reader) = slot::slot(640, 480);
    let mut total = 0;
    for n in 0..frames {
        let own_before = own.load(Ordering::Relaxed);
        let (_, here) = allocations(|| {
            fill(writer.frame_mut(), n);
            writer.publish();
            let frame = reader.newest().expect("a frame was published");
            vision.observe(frame, n * 66).expect("the frame is sound");
        });
        // Each of the slot's three frames and the first observation are warm-up.
        let here = here - (own.load(Ordering::Relaxed) - own_before);
        total += if n < 4 { 0 } else { here };
    }
    total
}

#[test]
fn nothing_of_ours_is_allocated_for_a_frame() {
    let manifest = blobs();
    let mut vision = TrayVision::new(&manifest, Box::new(null(&manifest)), Rules::for_manifest(&manifest)).unwrap();
    let total = run(&mut vision, 200, &AtomicU64::new(0));
    assert_eq!(vision.last().items.len(), 4, "the path was walked: there is something on the tray");
    assert_eq!(total, 0);
}

#[test]
fn nor_for_a_second_look() {
    let manifest = blobs();
    let stage = Manifest::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/blobs-second")).unwrap();
    let input = TensorSpec { name: stage.input.name.clone(), shape: stage.input.shape().to_vec() };
    let output = TensorSpec { name: "logits".into(), shape: vec![1, stage.labels.names.len()] };
    // Every box is looked at again, whatever its score.
    let spec = SecondSpec { sure: 0.9, below: Some(1.0), runner_up: 1.0, around: 1.15, boxes_max: 32 };
    let second = Second::new(&manifest, spec, &stage, Box::new(Null::new(input, vec![output]))).unwrap();
    let vision = TrayVision::new(&manifest, Box::new(null(&manifest)), Rules::for_manifest(&manifest)).unwrap();
    let mut vision = vision.with_second(Some(second));
    let total = run(&mut vision, 100, &AtomicU64::new(0));
    assert_eq!(vision.looked_twice(), 300, "three products a frame");
    assert_eq!(total, 0);
}

#[test]
fn what_remains_with_a_real_engine_is_the_librarys_own() {
    for backend in [Backend::Rten, Backend::OnnxRuntime] {
        let manifest = blobs();
        let engine = match engine::load(&manifest, &Choice { backend, ..Choice::default() }) {
            Err(e) if e.kind == EngineErrorKind::Backend => {
                println!("skipped: {e}");
                continue;
            }
            other => other.unwrap(),
        };
        let own = Arc::new(AtomicU64::new(0));
        let engine = Box::new(Counted { engine, own: own.clone() });
        let mut vision = TrayVision::new(&manifest, engine, Rules::for_manifest(&manifest)).unwrap();
        let frames = 54;
        run(&mut vision, 10, &own);
        own.store(0, Ordering::Relaxed);
        let ours = run(&mut vision, frames, &own);
        let own = own.load(Ordering::Relaxed) as f64 / frames as f64;
        println!("{backend}: {own} allocations a frame of the library's own on this thread, {ours} of ours");
        assert_eq!(ours, 0, "{backend}");
    }
}

/// The face camera's way: slot, detector, alignment, embedder, the sum over frames, the search and the threshold.
#[test]
fn nothing_of_ours_is_allocated_for_a_face() {
    let Some(file) =
        crate::common::data("lfw-dev/images").map(|images| crate::faces::pictures_of(&images, 0)[0].clone())
    else {
        return;
    };
    let picture = picture::load(&file).unwrap();
    let engines = Path::new(env!("CARGO_MANIFEST_DIR")).join("engines");
    let embedder = engines.join("face-mobilefacenet");
    let network = Manifest::load(&embedder).unwrap().sha256;
    let curve = FmrCurve::load(&embedder, &network).unwrap();
    for backend in [Backend::Rten, Backend::OnnxRuntime] {
        for detector in ["face-mtcnn", "face-blazeface"] {
            let own = Arc::new(AtomicU64::new(0));
            let mut around =
                |engine: Box<dyn Engine>| -> Box<dyn Engine> { Box::new(Counted { engine, own: own.clone() }) };
            let choice = Choice { backend, ..Choice::default() };
            let mut vision = match FaceVision::load_around(&engines.join(detector), &embedder, &choice, &mut around) {
                Err(e) if backend == Backend::OnnxRuntime => {
                    println!("skipped: {e}");
                    continue;
                }
                loaded => loaded.unwrap(),
            };
            let dimensions = vision.embedder().dimensions();
            let (mut vector, mut gallery) =
                (Vec::with_capacity(dimensions), Gallery::new(network.as_str(), dimensions, Precision::F16));
            let mut evidence = Evidence::new(decision::Rules::default(), dimensions);
            let (mut writer, mut reader) = slot::slot(640, 480);
            let (mut total, mut known) = (0, 0);
            for n in 0..40 {
                let own_before = own.load(Ordering::Relaxed);
                let (_, here) = allocations(|| {
                    let frame = writer.frame_mut();
                    frame.data.clear();
                    frame.data.extend_from_slice(&picture.data);
                    (frame.format, frame.width, frame.height) = (picture.format, picture.width, picture.height);
                    (frame.planes, frame.sequence) = (picture.planes, n);
                    frame.captured_ns = n * 66_000_000;
                    writer.publish();
                    let frame = reader.newest().expect("a frame was published");
                    if let Looked::Fit(face, _) = vision.look(frame).expect("the frame is sound") {
                        vision.embed(&face, &mut vector).expect("the face is sound");
                        evidence.add(&vector);
                        let decided = evidence.decide(&gallery, &curve, &Policy::default()).expect("of one size");
                        known += u32::from(matches!(decided, Decision::Known { id: 7, .. }));
                    }
                });
                if n == 20 {
                    gallery.push(&network, 7, &vector).unwrap();
                }
                let here = here - (own.load(Ordering::Relaxed) - own_before);
                total += if n < 4 { 0 } else { here };
            }
            println!("{backend} {detector}: {total} of ours, {known} times known");
            assert_eq!((total, known), (0, 19), "{backend} {detector}");
        }
    }
}
