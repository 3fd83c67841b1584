//! The scorer beside Python's onnxruntime with the same files, and beside what the processor can do, in one run on one set of comments.
//!
//! `cargo bench -p vigie-scorer --bench compare`; needs the library of `deploy/onnxruntime`, and a `python3` with the packages of
//! `models/training/requirements.txt`, without which the comparison is skipped, and said so.
//!
//! Comments: every fortieth of `models/training/written` that fits one window. Each is read once, by one thread, one at a time; nothing is
//! answered from those that came lately, and no first stage lets go. `peers.py` does the same with tokenizers and onnxruntime, and
//! measures the peak: int8 products of large matrices, by the same library. What counts is the processor time of the process, the
//! best of three runs in turn; compare within a run only.
//!
//! Measured on 26 November 2026 on a virtual core (Intel Xeon, AVX-512 VNNI), 565 comments, the same in two runs:
//!
//! | | comments/s | the scorer beside it | int8 products a second, of the peak |
//! |---|---|---|---|
//! | abuse-fr-e5, the scorer | 211 | 1 | 102 G, 41 % |
//! | abuse-fr-e5, onnxruntime from Python | 214 | 1.01 times its time | |
//! | abuse-fr-use, the scorer | 1,345 | 1 | 103 G, 35 % |
//! | abuse-fr-use, onnxruntime from Python | 1,367 | 1.02 times its time | |
//!
//! The rest of the time goes to what is no product of matrices (attention, GELU, norms) and to matrices of twenty rows.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "writes its result there")]

use std::path::Path;
use std::process::Command;

use vigie_scorer::{Input, Scorer, testing};

const MODELS: [&str; 2] = ["abuse-fr-e5", "abuse-fr-use"];
const ONE_IN: usize = 40;
const TEXT_BYTES_MAX: usize = 150;
const ROUNDS: usize = 3;

fn main() {
    let texts = comments(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/training/written"));
    println!("{} comments", texts.len());
    for model in MODELS {
        let own = (0..ROUNDS).map(|_| seconds(model, &texts)).fold(f64::INFINITY, f64::min);
        println!("{model}, the scorer: {:.0} comments/s", texts.len() as f64 / own);
        match peers(model, &texts) {
            Ok(found) => {
                let [python, products, peak] = found;
                println!("{model}, onnxruntime from Python: {:.0} comments/s", texts.len() as f64 / python);
                println!("  the scorer takes {:.2} times its time", own / python);
                println!(
                    "  {:.1} G products of int8 a second, {:.0} % of the {:.0} G of large matrices",
                    products / own / 1e9,
                    100.0 * products / own / peak,
                    peak / 1e9
                );
            }
            Err(why) => eprintln!("SKIPPED: onnxruntime from Python: {why}"),
        }
    }
}

/// First column of the lines, those that fit one window.
fn comments(folder: &Path) -> Vec<String> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the comments are there")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|end| end == "tsv"))
        .collect();
    files.sort();
    let read = |path| std::fs::read_to_string(path).expect("a readable file");
    let lines: Vec<String> = files
        .iter()
        .flat_map(|path| read(path).lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let first = |line: &String| line.split('\t').next().unwrap_or_default().to_owned();
    let short: Vec<String> = lines.iter().map(first).filter(|text| text.len() <= TEXT_BYTES_MAX).collect();
    short.into_iter().step_by(ONE_IN).collect()
}

/// Processor time of reading each text once, by a scorer that has seen none of them.
fn seconds(model: &str, texts: &[String]) -> f64 {
    let scorer = Scorer::open(&testing::library(), &testing::model(model), 1).expect("the model opens");
    let start = processor_seconds();
    for text in texts {
        let scored = scorer.score(&[Input::alone(text)]).expect("the model scores");
        std::hint::black_box(scored);
    }
    processor_seconds() - start
}

/// The time that the threads of this process were running (Linux, a hundredth of a second exact).
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux tells");
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    let ticks = after_name.split(' ').skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

/// Seconds that Python takes, products of int8 that the network makes, and the most that were made a second with large matrices.
fn peers(model: &str, texts: &[String]) -> Result<[f64; 3], String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compare-scorer");
    let comments = folder.join("comments.txt");
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(&comments, texts.join("\n")))
        .map_err(|error| error.to_string())?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/compare/peers.py");
    let output = Command::new("python3")
        .arg(script)
        .arg(testing::model(model))
        .arg(comments)
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    let found = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = found.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    numbers.try_into().map_err(|_| format!("unexpected output: {found}"))
}
