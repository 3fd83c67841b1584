//! The ONNX sessions: one per core, one thread each. Checked against the manifest, and run once, before anything starts.

use std::cmp::Reverse;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use ort::environment::Environment;
use ort::session::Session;
use ort::value::{Outlet, TensorElementType, TensorRef, ValueType};

use crate::batches;
use crate::manifest::Manifest;

/// Outputs of the heads, with the index of their window.
type Rows = Vec<(usize, Vec<f32>)>;

/// The sessions of one model.
pub struct Network {
    sessions: Vec<Mutex<Session>>,
    manifest: Manifest,
}

impl Network {
    /// Builds `threads` sessions and compares inputs and outputs with the manifest.
    ///
    /// # Errors
    /// What differs, or what the runtime says.
    pub fn new(environment: &Environment, bytes: &[u8], manifest: Manifest, threads: usize) -> Result<Self, String> {
        let mut sessions = Vec::new();
        for _ in 0..threads.max(1) {
            let session = build(environment, bytes)?;
            check(&session, &manifest)?;
            sessions.push(Mutex::new(session));
        }
        let network = Self { sessions, manifest };
        network.run(&[&[0, 0, 0]])?;
        Ok(network)
    }

    /// The outputs of the heads for every window, in order. Windows are shared out between the sessions; which are run together
    /// depends only on their lengths.
    ///
    /// # Errors
    /// What the runtime says, or an output of the wrong shape, or one that is no number.
    pub fn run(&self, windows: &[&[i64]]) -> Result<Vec<Vec<f32>>, String> {
        let lengths: Vec<usize> = windows.iter().map(|window| window.len()).collect();
        let mut plan = batches::plan(&lengths, self.manifest.batching);
        // Those that take longest first, so that the sessions end together.
        plan.sort_by_key(|batch| Reverse(batch.iter().map(|index| lengths[*index]).max().unwrap_or(0) * batch.len()));
        let workers = self.sessions.len().min(plan.len());
        let next = AtomicUsize::new(0);
        let work = |session: &Mutex<Session>| -> Result<Rows, String> {
            let mut done = Vec::new();
            while let Some(batch) = plan.get(next.fetch_add(1, Ordering::Relaxed)) {
                let texts: Vec<&[i64]> = batch.iter().map(|index| windows[*index]).collect();
                let mut session = session.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                done.extend(batch.iter().copied().zip(self.run_batch(&mut session, &texts)?));
            }
            Ok(done)
        };
        let done: Vec<Result<Rows, String>> = if workers <= 1 {
            vec![work(self.free_session())]
        } else {
            std::thread::scope(|scope| {
                let handles: Vec<_> = self.sessions[..workers]
                    .iter()
                    .map(|session| scope.spawn(|| work(session)))
                    .collect();
                handles
                    .into_iter()
                    .map(|handle| handle.join().unwrap_or_else(|_| Err("a scoring thread panicked".to_owned())))
                    .collect()
            })
        };
        let mut outputs = vec![Vec::new(); windows.len()];
        for part in done {
            for (index, row) in part? {
                outputs[index] = row;
            }
        }
        Ok(outputs)
    }

    /// A session that nobody holds, else the first.
    fn free_session(&self) -> &Mutex<Session> {
        self.sessions
            .iter()
            .find(|session| session.try_lock().is_ok())
            .unwrap_or(&self.sessions[0])
    }

    fn run_batch(&self, session: &mut Session, texts: &[&[i64]]) -> Result<Vec<Vec<f32>>, String> {
        let tokens = texts.iter().map(|text| text.len()).max().unwrap_or(0);
        let (mut ids, mut mask) = (vec![0_i64; texts.len() * tokens], vec![0_i64; texts.len() * tokens]);
        for (row, text) in texts.iter().enumerate() {
            ids[row * tokens..row * tokens + text.len()].copy_from_slice(text);
            mask[row * tokens..row * tokens + text.len()].fill(1);
        }
        let shape = [texts.len(), tokens];
        let ids = TensorRef::from_array_view((shape, ids.as_slice())).map_err(|error| error.to_string())?;
        let mask = TensorRef::from_array_view((shape, mask.as_slice())).map_err(|error| error.to_string())?;
        let names = &self.manifest.inputs;
        let outputs = session
            .run(ort::inputs![names.ids.as_str() => ids, names.mask.as_str() => mask])
            .map_err(|error| error.to_string())?;
        let (shape, values) = outputs[self.manifest.output.name.as_str()]
            .try_extract_tensor::<f32>()
            .map_err(|error| error.to_string())?;
        let heads = self.manifest.heads.len();
        let found: Vec<i64> = shape.iter().copied().collect();
        if values.len() != texts.len() * heads || found.len() != 2 {
            return Err(format!(
                "the output has the shape {found:?} for {} texts, expected [{}, {heads}]",
                texts.len(),
                texts.len()
            ));
        }
        if values.iter().any(|value| !value.is_finite()) {
            return Err("an output is not a number".to_owned());
        }
        Ok(values.chunks_exact(heads).map(<[f32]>::to_vec).collect())
    }
}

/// On processors whose widest integer products add pairs in 16 bits (AVX2 and AVX-512 without VNNI), such sums overflow and are cut off: scores would be
/// others than where the model was calibrated. With this they take exact products, which are a little slower; elsewhere it does nothing
/// (`kOrtSessionOptionsAvx2PrecisionMode` of ONNX Runtime).
const EXACT_PRODUCTS: (&str, &str) = ("session.x64quantprecision", "1");

fn build(environment: &Environment, bytes: &[u8]) -> Result<Session, String> {
    let options = || -> Result<ort::session::builder::SessionBuilder, String> {
        Session::builder(environment)
            .map_err(|error| error.to_string())?
            .with_intra_threads(1)
            .map_err(|error| error.to_string())?
            .with_inter_threads(1)
            .map_err(|error| error.to_string())?
            .with_config_entry(EXACT_PRODUCTS.0, EXACT_PRODUCTS.1)
            .map_err(|error| error.to_string())?
            .with_log_level(ort::logging::LogLevel::Warning)
            .map_err(|error| error.to_string())
    };
    options()?.commit_from_memory(bytes).map_err(|error| error.to_string())
}

fn check(session: &Session, manifest: &Manifest) -> Result<(), String> {
    let heads = i64::try_from(manifest.heads.len()).map_err(|error| error.to_string())?;
    let inputs = session.inputs();
    if inputs.len() != 2 {
        return Err(format!("it has {} inputs, expected 2", inputs.len()));
    }
    for name in [&manifest.inputs.ids, &manifest.inputs.mask] {
        check_outlet("input", inputs, name, TensorElementType::Int64, None)?;
    }
    check_outlet(
        "output",
        session.outputs(),
        &manifest.output.name,
        TensorElementType::Float32,
        Some(heads),
    )
}

fn check_outlet(kind: &str, outlets: &[Outlet], name: &str, element: TensorElementType, columns: Option<i64>) -> Result<(), String> {
    let names = || outlets.iter().map(Outlet::name).collect::<Vec<_>>().join(", ");
    let outlet = outlets
        .iter()
        .find(|outlet| outlet.name() == name)
        .ok_or_else(|| format!("it has no {kind} `{name}`; it has: {}", names()))?;
    let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else {
        return Err(format!("the {kind} `{name}` is no tensor"));
    };
    if *ty != element {
        return Err(format!("the {kind} `{name}` holds {ty}, expected {element}"));
    }
    let dimensions: Vec<i64> = shape.iter().copied().collect();
    if dimensions.len() != 2 {
        return Err(format!("the {kind} `{name}` has {} dimensions, expected 2", dimensions.len()));
    }
    if let Some(columns) = columns
        && dimensions[1] >= 0
        && dimensions[1] != columns
    {
        return Err(format!(
            "the {kind} `{name}` has {} columns, the manifest names {columns} heads",
            dimensions[1]
        ));
    }
    Ok(())
}
