//! The backend behind the `Engine` trait: a checked plan on this machine's GPU. A sticky CUDA error poisons the whole
//! process's device: everything is torn down, the device reset, the plan loaded anew, once in a run; a second failure
//! is the caller's, who takes the next rung.

use std::sync::Arc;

use super::builder::Plan;
use super::library::{Device, Failure, Library, Paths};
use super::plans::{Key, Precision, Store, Want};
use super::run::{self, Context, Transfer};
use crate::engine::{Engine, EngineError, EngineErrorKind, Manifest, TensorSpec};

/// A model run by TensorRT.
pub struct TensorRt {
    place: String,
    device: String,
    library: Arc<Library>,
    plan: Plan,
    transfer: Transfer,
    precision: Precision,
    dla: Option<u8>,
    context: Option<Context>,
    input_at: usize,
    output_at: Vec<usize>,
    input: TensorSpec,
    outputs: Vec<TensorSpec>,
    /// The input while there is no context.
    spare: Vec<f32>,
    ran: bool,
}

/// The key of a model's plan on this machine.
pub fn key(
    manifest: &Manifest,
    library: &Library,
    device: &Device,
    precision: Precision,
    dla: Option<u8>,
) -> Result<Key, EngineError> {
    let info = library.info().map_err(|f| f.at(&manifest.name))?;
    let (model, library, device) = (manifest.sha256.clone(), info.to_string(), device.to_string());
    Ok(Key { model, library, device, precision, dla })
}

impl TensorRt {
    /// Looks for a checked plan in `stores`, in the order of [`Want::candidates`], and loads it.
    pub fn load(manifest: &Manifest, stores: &[Store], want: Want, paths: &Paths) -> Result<Self, EngineError> {
        let place = manifest.name.as_str();
        let library = Library::open(paths).map_err(|f| f.at(place))?;
        let device = library.probe().map_err(|f| f.at(place))?;
        for (precision, dla) in want.candidates() {
            if let Some(engine) = Self::serving(manifest, stores, precision, dla, &library, &device)? {
                return Ok(engine);
            }
        }
        let key = key(manifest, &library, &device, Precision::ALL[0], None)?;
        let message =
            format!("tensorrt: no checked plan for {} on {}: run `till engine build`", key.library, key.device);
        Err(EngineError::new(EngineErrorKind::Backend, place, message))
    }

    /// Loads every checked plan of this machine, one for each precision, on the GPU and on each DLA core, and hands each
    /// to `take`.
    pub fn load_each(
        manifest: &Manifest,
        stores: &[Store],
        paths: &Paths,
        mut take: impl FnMut(Self) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let place = manifest.name.as_str();
        let library = Library::open(paths).map_err(|f| f.at(place))?;
        let device = library.probe().map_err(|f| f.at(place))?;
        let cores = library.platform().map_or(0, |p| u8::try_from(p.dla_cores).unwrap_or(0));
        for precision in Precision::ALL {
            for dla in std::iter::once(None).chain((0..cores).map(Some)) {
                if let Some(engine) = Self::serving(manifest, stores, precision, dla, &library, &device)? {
                    take(engine)?;
                }
            }
        }
        Ok(())
    }

    /// The checked plan of one precision and place, loaded from the first of `stores` whose plan can be.
    fn serving(
        manifest: &Manifest,
        stores: &[Store],
        precision: Precision,
        dla: Option<u8>,
        library: &Arc<Library>,
        device: &Device,
    ) -> Result<Option<Self>, EngineError> {
        let key = key(manifest, library, device, precision, dla)?;
        for store in stores {
            let Some(plan) = store.serving(&key)? else { continue };
            match Self::from_plan(&manifest.name, Arc::clone(library), device, Plan(plan), precision, dla) {
                Ok(engine) => return Ok(Some(engine)),
                Err(e) => {
                    // A plan that TensorRT itself refuses will be refused for ever; a GPU that is busy won't.
                    if e.kind == EngineErrorKind::Model {
                        store.set_aside(&key, &e.to_string())?;
                    }
                    log::warn!("{e}; another plan is looked for");
                }
            }
        }
        Ok(None)
    }

    /// Loads `plan`, checked or not, and runs it once over zeros.
    pub fn from_plan(
        place: &str,
        library: Arc<Library>,
        device: &Device,
        plan: Plan,
        precision: Precision,
        dla: Option<u8>,
    ) -> Result<Self, EngineError> {
        let transfer = Transfer::of(device);
        let mut context = context(&library, &plan, dla, transfer).map_err(|f| f.at(place))?;
        let model_error = |m: String| EngineError::new(EngineErrorKind::Model, place, format!("tensorrt: {m}"));
        let specs: Vec<(usize, bool, TensorSpec)> = context
            .tensors()
            .iter()
            .enumerate()
            .map(|(i, t)| (i, t.is_input, TensorSpec { name: t.name.clone(), shape: t.shape().unwrap_or_default() }))
            .collect();
        let (inputs, outputs): (Vec<_>, Vec<_>) = specs.into_iter().partition(|s| s.1);
        let [(input_at, _, input)] = &inputs[..] else {
            return Err(model_error(format!("the plan has {} inputs, one is read", inputs.len())));
        };
        let (input_at, input) = (*input_at, input.clone());
        context.infer().map_err(|f| f.at(place))?;
        let (output_at, outputs) = outputs.into_iter().map(|(i, _, spec)| (i, spec)).unzip();
        let place = place.to_owned();
        let (context, spare) = (Some(context), Vec::new());
        let core = dla.map(|core| format!(" (DLA core {core})")).unwrap_or_default();
        let device = format!("{device}{core}, input and outputs {}", transfer.as_str());
        log::info!("engine {place}: plan {precision} on {device}");
        Ok(Self {
            place,
            device,
            library,
            plan,
            transfer,
            precision,
            dla,
            context,
            input_at,
            output_at,
            input,
            outputs,
            spare,
            ran: false,
        })
    }

    /// How values travel.
    pub fn transfer(&self) -> Transfer {
        self.transfer
    }

    /// Tears down, resets the device, loads the plan anew with the input kept, and infers again.
    fn rebuild(&mut self) -> Result<(), Failure> {
        let input = self.input_mut().to_vec();
        // The order matters: nothing of ours may be on the device when it is reset.
        self.context = None;
        self.spare = input;
        self.library.reset()?;
        let mut context = context(&self.library, &self.plan, self.dla, self.transfer)?;
        context.host_mut(self.input_at).copy_from_slice(&self.spare);
        context.infer()?;
        self.context = Some(context);
        self.spare = Vec::new();
        Ok(())
    }
}

fn context(library: &Arc<Library>, plan: &Plan, dla: Option<u8>, transfer: Transfer) -> Result<Context, Failure> {
    Context::new(run::Engine::load(library, plan, dla)?, transfer)
}

impl Engine for TensorRt {
    fn backend(&self) -> &'static str {
        "tensorrt"
    }

    fn precision(&self) -> Option<&'static str> {
        // A strongly typed plan computes as the model says.
        (self.precision != Precision::Model).then(|| self.precision.as_str())
    }

    fn device(&self) -> Option<&str> {
        Some(&self.device)
    }

    fn input(&self) -> &TensorSpec {
        &self.input
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    fn input_mut(&mut self) -> &mut [f32] {
        match &mut self.context {
            Some(context) => context.host_mut(self.input_at),
            None => &mut self.spare,
        }
    }

    fn run(&mut self) -> Result<(), EngineError> {
        let done = match &mut self.context {
            Some(context) => match context.infer() {
                Err(failure) if failure.is_sticky() => {
                    log::error!("engine {}: {failure}; the device is reset and the plan loaded anew", self.place);
                    self.rebuild()
                }
                done => done,
            },
            // The last rebuild failed; the GPU may be back.
            None => self.rebuild(),
        };
        self.ran = done.is_ok();
        done.map_err(|f| EngineError { kind: EngineErrorKind::Run, ..f.at(&self.place) })
    }

    fn output(&self, index: usize) -> &[f32] {
        match (&self.context, self.output_at.get(index)) {
            (Some(context), Some(&at)) if self.ran => context.read(at),
            _ => &[],
        }
    }
}
