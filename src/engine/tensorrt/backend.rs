//! The backend behind the `Engine` trait: a checked plan on this machine's GPU. A sticky CUDA error poisons the whole
//! process's device: everything is torn down, the device reset, the plan loaded anew, once in a run; a second failure
//! is the caller's, who takes the next rung.

use std::sync::Arc;

use super::builder::Plan;
use super::library::{Device, Failure, Library, Paths};
use super::plans::{Key, Precision, Store};
use super::run::{self, Context, Transfer};
use crate::engine::{Engine, EngineError, EngineErrorKind, Manifest, TensorSpec};

/// A model run by TensorRT.
pub struct TensorRt {
    place: String,
    library: Arc<Library>,
    plan: Plan,
    transfer: Transfer,
    precision: Precision,
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
pub fn key(manifest: &Manifest, library: &Library, device: &Device, precision: Precision) -> Result<Key, EngineError> {
    let info = library.info().map_err(|f| f.at(&manifest.name))?;
    let (model, library, device) = (manifest.sha256.clone(), info.to_string(), device.to_string());
    Ok(Key { model, library, device, precision })
}

impl TensorRt {
    /// Looks for a checked plan in `store`, in the order of [`Precision::ALL`], and loads it.
    pub fn load(manifest: &Manifest, store: &Store, paths: &Paths) -> Result<Self, EngineError> {
        let place = manifest.name.as_str();
        let library = Library::open(paths).map_err(|f| f.at(place))?;
        let device = library.probe().map_err(|f| f.at(place))?;
        for precision in Precision::ALL {
            let key = key(manifest, &library, &device, precision)?;
            if let Some(plan) = store.serving(&key)? {
                return Self::from_plan(place, library, &device, Plan(plan), precision);
            }
        }
        let key = key(manifest, &library, &device, Precision::ALL[0])?;
        let message =
            format!("tensorrt: no checked plan for {} on {}: run `till engine build`", key.library, key.device);
        Err(EngineError::new(EngineErrorKind::Backend, place, message))
    }

    /// Loads `plan`, checked or not, and runs it once over zeros.
    pub fn from_plan(
        place: &str,
        library: Arc<Library>,
        device: &Device,
        plan: Plan,
        precision: Precision,
    ) -> Result<Self, EngineError> {
        let transfer = Transfer::of(device);
        let mut context = context(&library, &plan, transfer).map_err(|f| f.at(place))?;
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
        log::info!("engine {place}: plan {precision} on {device}, input and outputs {}", transfer.as_str());
        Ok(Self {
            place,
            library,
            plan,
            transfer,
            precision,
            context,
            input_at,
            output_at,
            input,
            outputs,
            spare,
            ran: false,
        })
    }

    /// How the plan computes.
    pub fn precision(&self) -> Precision {
        self.precision
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
        let mut context = context(&self.library, &self.plan, self.transfer)?;
        context.host_mut(self.input_at).copy_from_slice(&self.spare);
        context.infer()?;
        self.context = Some(context);
        self.spare = Vec::new();
        Ok(())
    }
}

fn context(library: &Arc<Library>, plan: &Plan, transfer: Transfer) -> Result<Context, Failure> {
    Context::new(run::Engine::load(library, plan)?, transfer)
}

impl Engine for TensorRt {
    fn backend(&self) -> &'static str {
        "tensorrt"
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
