//! What cannot be opened is refused with one clear error. No test here may load ONNX Runtime with success: a process loads it once,
//! and these tests need it unloaded.

use std::path::{Path, PathBuf};
use std::process::Command;

use vigie_scorer::{Scorer, ScorerError, testing};

/// A copy of the small model, to be spoilt.
fn copy(dir: &Path) -> std::io::Result<PathBuf> {
    let model = dir.join("abuse-fr-use");
    std::fs::create_dir(&model)?;
    for file in ["manifest.toml", "model.onnx", "tokenizer.json"] {
        std::fs::copy(testing::model("abuse-fr-use").join(file), model.join(file))?;
    }
    Ok(model)
}

/// What is spoilt, how, and what the error says.
type Spoil = (&'static str, fn(&Path) -> std::io::Result<()>, &'static [&'static str]);

/// Opening must fail with an error that holds every one of `words`.
fn check(result: Result<Scorer, ScorerError>, words: &[&str]) {
    let Err(error) = result else {
        panic!("opened, expected an error with {words:?}")
    };
    let message = error.to_string();
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
}

#[test]
fn spoilt_files_are_refused_before_the_library_is_touched() -> std::io::Result<()> {
    let nowhere = Path::new("/nonexistent/libonnxruntime.so");
    let spoils: [Spoil; 5] = [
        (
            "no folder",
            |model| std::fs::remove_dir_all(model),
            &["manifest.toml is missing", "abuse-fr-use"],
        ),
        (
            "no network",
            |model| std::fs::remove_file(model.join("model.onnx")),
            &["model.onnx is missing"],
        ),
        (
            "no tokenizer",
            |model| std::fs::remove_file(model.join("tokenizer.json")),
            &["tokenizer.json is missing"],
        ),
        (
            "cut network",
            |model| std::fs::File::options().write(true).open(model.join("model.onnx"))?.set_len(1000),
            &["model.onnx has the sha256", "take it again"],
        ),
        (
            "changed tokenizer",
            |model| std::fs::write(model.join("tokenizer.json"), "{}"),
            &["tokenizer.json has the sha256"],
        ),
    ];
    for (_, spoil, words) in spoils {
        let dir = tempfile::tempdir()?;
        let model = copy(dir.path())?;
        spoil(&model)?;
        check(Scorer::open(nowhere, &model, 1), words);
    }
    Ok(())
}

#[test]
fn manifests_that_cannot_be_right_are_refused() -> std::io::Result<()> {
    let changes = [
        ("schema = \"model/1\"", "schema = \"model/2\"", "this build reads \"model/1\""),
        ("name = \"abuse-fr-use\"", "name = \"other\"", "the folder is `abuse-fr-use`"),
        ("max_tokens = 64", "max_tokens = 2", "max_tokens is 2"),
        ("max_tokens = 64", "max_token = 64", "max_token"),
        ("path = \"model.onnx\"", "path = \"../model.onnx\"", "must be the name of a file"),
        ("\"old:toxic\", ", "", "weighs the head `old:toxic`"),
        ("label = \"hate\"", "label = \"abusive\"", "label `abusive` is there twice"),
        ("[thresholds.careful]", "[thresholds.reckless]", "reckless"),
        (
            "[thresholds.firm]\nabusive = { review = 0.",
            "[thresholds.firm]\nabusive = { review = 7.",
            "thresholds.firm.abusive",
        ),
        ("texts_max = 8,", "texts_max = 0,", "texts_max must be at least 1"),
        (
            "[drift.labels.hate]",
            "[drift.labels.terror-apology]",
            "drift.labels.terror-apology",
        ),
        (
            "[drift.labels.hate]\nedges = [0.",
            "[drift.labels.hate]\nedges = [1.",
            "edges must rise",
        ),
        (
            "[drift.labels.hate]\nedges = [",
            "[drift.labels.hate]\nedges = [0.0, ",
            "shares be one more",
        ),
    ];
    for (from, to, words) in changes {
        let dir = tempfile::tempdir()?;
        let model = copy(dir.path())?;
        let manifest = std::fs::read_to_string(model.join("manifest.toml"))?;
        assert!(manifest.contains(from), "{from} is not in the manifest");
        std::fs::write(model.join("manifest.toml"), manifest.replacen(from, to, 1))?;
        check(Scorer::open(Path::new("/nonexistent"), &model, 1), &[words, "abuse-fr-use"]);
    }
    Ok(())
}

#[test]
fn libraries_that_cannot_be_used_are_refused() -> std::io::Result<()> {
    let dir = tempfile::tempdir()?;
    let model = testing::model("abuse-fr-use");
    let whole = std::fs::read(testing::library())?;
    let write = |name: &str, bytes: &[u8]| -> std::io::Result<PathBuf> {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes)?;
        Ok(path)
    };
    check(
        Scorer::open(&dir.path().join("none.so"), &model, 1),
        &["there is no such file", "deploy/onnxruntime"],
    );
    check(Scorer::open(dir.path(), &model, 1), &["no library"]);
    check(Scorer::open(&write("empty.so", b"")?, &model, 1), &["0 bytes"]);
    check(Scorer::open(&write("text.so", &[b'x'; 100])?, &model, 1), &["no 64-bit ELF"]);
    // Loading any of these would kill the process with SIGBUS.
    for bytes in [64, 4096, whole.len() / 2, whole.len() - 1] {
        check(
            Scorer::open(&write("cut.so", &whole[..bytes])?, &model, 1),
            &["truncated", &format!("{bytes} bytes of")],
        );
    }
    let mut foreign = whole.clone();
    foreign[18] ^= 0xff;
    check(Scorer::open(&write("foreign.so", &foreign)?, &model, 1), &["another machine"]);
    Ok(())
}

/// A shared library made from C, as old releases and foreign libraries are.
fn compile(dir: &Path, name: &str, source: &str) -> std::io::Result<PathBuf> {
    let (input, output) = (dir.join(format!("{name}.c")), dir.join(format!("{name}.so")));
    std::fs::write(&input, source)?;
    let status = Command::new("cc")
        .arg("-shared")
        .arg("-fPIC")
        .arg("-o")
        .arg(&output)
        .arg(&input)
        .status()?;
    assert!(status.success(), "cc could not compile {name}");
    Ok(output)
}

#[test]
fn an_old_or_foreign_library_is_refused() -> std::io::Result<()> {
    let dir = tempfile::tempdir()?;
    let model = testing::model("abuse-fr-use");
    let old = compile(
        dir.path(),
        "old",
        "static const void* api(unsigned v) { (void)v; return 0; }\nstatic const char* version(void) { return \"1.15.1\"; }\n\
         static const struct { const void* (*api)(unsigned); const char* (*version)(void); } base = { api, version };\n\
         const void* OrtGetApiBase(void) { return &base; }\n",
    )?;
    check(Scorer::open(&old, &model, 1), &["version 1.15.1", "1.20 or newer"]);
    let foreign = compile(dir.path(), "foreign", "int answer(void) { return 42; }\n")?;
    check(Scorer::open(&foreign, &model, 1), &["not ONNX Runtime"]);
    Ok(())
}

/// A model with a first stage needs the folder beside it, and that very network.
#[test]
fn a_first_stage_that_is_not_the_one_is_refused() -> std::io::Result<()> {
    let nowhere = Path::new("/nonexistent/libonnxruntime.so");
    let dir = tempfile::tempdir()?;
    let model = dir.path().join("abuse-fr-acts");
    std::fs::create_dir(&model)?;
    for file in ["manifest.toml", "model.onnx", "tokenizer.json", "lexical.bin"] {
        std::fs::copy(testing::model("abuse-fr-acts").join(file), model.join(file))?;
    }
    check(Scorer::open(nowhere, &model, 1), &["abuse-fr-use", "manifest.toml is missing"]);
    let first = copy(dir.path())?;
    let manifest = model.join("manifest.toml");
    let right = std::fs::read_to_string(&manifest)?;
    let changes = [
        (
            "model = \"abuse-fr-use\"",
            "model = \"../abuse-fr-use\"",
            "name of a folder beside this one",
        ),
        (
            "network_sha256 = \"",
            "network_sha256 = \"0",
            "another one than this model was fitted with",
        ),
        ("\"flagged\" = ", "\"other\" = ", "`other` is no head of the first stage"),
        (
            "\"first:old:toxic\"",
            "\"first:other\"",
            "`first:other` is no head of the first stage",
        ),
        ("below = ", "below = nan # ", "every number must be finite"),
        ("path = \"lexical.bin\"", "path = \"../lexical.bin\"", "must be the name of a file"),
        ("path = \"lexical.bin\"", "path = \"lexical\"", "lexical is missing"),
        ("path = \"lexical.bin\"", "path = \"model.onnx\"", "model.onnx has the sha256"),
    ];
    for (from, to, words) in changes {
        assert!(right.contains(from), "{from}");
        std::fs::write(&manifest, right.replacen(from, to, 1))?;
        check(Scorer::open(nowhere, &model, 1), &[words]);
    }
    let part = right
        .split("[first_stage.lexical]")
        .nth(1)
        .and_then(|rest| rest.split("# End").next());
    let part = part.expect("it has a lexical part");
    std::fs::write(&manifest, right.replace(&format!("[first_stage.lexical]{part}"), ""))?;
    check(
        Scorer::open(nowhere, &model, 1),
        &["it weighs a lexical part that is not there", "lexical.py"],
    );
    std::fs::write(&manifest, &right)?;
    check(Scorer::open(nowhere, &model, 1), &["/nonexistent/libonnxruntime.so"]);
    std::fs::write(first.join("tokenizer.json"), "{}")?;
    check(Scorer::open(nowhere, &model, 1), &["abuse-fr-use", "tokenizer.json has the sha256"]);
    Ok(())
}
