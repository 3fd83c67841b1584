//! The shared library of ONNX Runtime, and the one environment that a process may have.
//!
//! A truncated library kills the process with SIGBUS when it is loaded, so its ELF headers are compared with its size first.
//! Telemetry is off.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ort::environment::Environment;

use crate::error::ScorerError;

/// ONNX Runtime is loaded once and never unloaded: the second load of a process must name the same file.
static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// Loads the library, once per process, and gives its environment.
///
/// # Errors
/// Missing, not a library for this machine, truncated, not ONNX Runtime, too old, or another one is loaded already.
pub fn environment(library: &Path) -> Result<Environment, ScorerError> {
    let refuse = |message: String| ScorerError::Library {
        path: library.to_owned(),
        message,
    };
    let mut loaded = LOADED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let path = std::fs::canonicalize(library).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => refuse("there is no such file".to_owned()),
        _ => refuse(error.to_string()),
    })?;
    if let Some((first, environment)) = loaded.as_ref() {
        if *first != path {
            return Err(refuse(format!(
                "{} is loaded already, and a process can load only one",
                first.display()
            )));
        }
        return Ok(environment.clone());
    }
    check_elf(&path).map_err(refuse)?;
    let builder = ort::init_from(&path).map_err(|error| refuse(load_error(&error)))?;
    let environment = builder
        .with_name("vigie")
        .with_telemetry(false)
        .build()
        .map_err(|error| refuse(error.to_string()))?;
    *loaded = Some((path, environment.clone()));
    Ok(environment)
}

fn load_error(error: &ort::LoadDynamicError) -> String {
    match error {
        ort::LoadDynamicError::BadVersion { version_str, .. } => {
            format!("it is version {version_str}, 1.{} or newer is needed", ort::MINOR_VERSION)
        }
        ort::LoadDynamicError::MissingApi { .. } => "it is not ONNX Runtime: OrtGetApiBase is missing".to_owned(),
        other => other.to_string(),
    }
}

/// Compares the headers of a 64-bit little-endian ELF file with its size.
fn check_elf(path: &Path) -> Result<(), String> {
    use std::io::Read as _;
    let mut file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let bytes = file.metadata().map_err(|error| error.to_string())?.len();
    let mut header = [0_u8; 64];
    file.read_exact(&mut header)
        .map_err(|_| format!("it has {bytes} bytes and is no library"))?;
    if header[..6] != *b"\x7fELF\x02\x01" {
        return Err("it is no 64-bit ELF library".to_owned());
    }
    let machine = u16::from_le_bytes([header[18], header[19]]);
    let expected = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
    if machine != expected {
        return Err(format!(
            "it was built for another machine (ELF machine {machine}, this one is {expected})"
        ));
    }
    let end = expected_size(&header, &mut file).ok_or("its ELF headers contradict each other")?;
    if end > bytes {
        return Err(format!("it is truncated: {bytes} bytes of {end}"));
    }
    Ok(())
}

/// Where the last segment, the last section and the tables end: a complete file is at least that long.
fn expected_size(header: &[u8; 64], file: &mut std::fs::File) -> Option<u64> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let u64_at = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"));
    let u16_at = |at: usize| u64::from(u16::from_le_bytes(header[at..at + 2].try_into().expect("two bytes")));
    let (programs_at, sections_at) = (u64_at(32), u64_at(40));
    let (program_bytes, programs, section_bytes, sections) = (u16_at(54), u16_at(56), u16_at(58), u16_at(60));
    if program_bytes != 56 {
        return None;
    }
    let mut end = sections_at
        .checked_add(section_bytes * sections)?
        .max(programs_at.checked_add(program_bytes * programs)?);
    let mut table = Vec::new();
    file.seek(SeekFrom::Start(programs_at)).ok()?;
    file.take(program_bytes * programs).read_to_end(&mut table).ok()?;
    for segment in table.chunks_exact(56) {
        let offset = u64::from_le_bytes(segment[8..16].try_into().ok()?);
        let size = u64::from_le_bytes(segment[32..40].try_into().ok()?);
        end = end.max(offset.checked_add(size)?);
    }
    Some(end)
}
