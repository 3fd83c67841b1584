//! `vigie evaluate`, on the real binary with the repository's rules and model.

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::support::{Place, vigie};

/// Text, abusive, hate, functionality, group. Written for this test.
const COMMENTS: [(&str, u8, u8, &str, &str); 12] = [
    ("Espèce de gros connard, ferme ta gueule", 1, 0, "insult", "user"),
    ("Sale pute, retourne dans ta cuisine", 1, 1, "slur", "women"),
    ("T'es vraiment un pauvre con, dégage.", 1, 0, "insult", "user"),
    ("Bande d'abrutis finis, vous êtes des merdes", 1, 0, "insult", "user"),
    ("Les femmes sont inférieures, qu'elles se taisent", 1, 1, "implicit", "women"),
    ("Merci pour cette belle exposition, les enfants ont adoré !", 0, 0, "praise", ""),
    (
        "Deux heures de queue et trois salles fermées, c'est scandaleux.",
        0,
        0,
        "criticism",
        "",
    ),
    ("Une exposition sur les femmes peintres, enfin.", 0, 0, "neutral", "women"),
    ("Les femmes du quartier ont ouvert une bibliothèque.", 0, 0, "neutral", "women"),
    ("À quelle heure fermez-vous le dimanche ?", 0, 0, "praise", ""),
    ("Le catalogue est superbe, bravo à l'équipe.", 0, 0, "praise", ""),
    ("Je ne suis pas d'accord avec cette réforme.", 0, 0, "criticism", ""),
];

fn line((text, abusive, hate, functionality, group): (&str, u8, u8, &str, &str)) -> String {
    let groups: Vec<&str> = [group].into_iter().filter(|group| !group.is_empty()).collect();
    json!({"text": text, "labels": {"toxic": abusive, "hate": hate}, "mentions": groups, "functionality": functionality, "licence": "ours"})
        .to_string()
}

fn labelled(comments: &[(&str, u8, u8, &str, &str)]) -> String {
    comments.iter().map(|comment| line(*comment) + "\n").collect()
}

#[test]
fn figures_agree_with_the_verdicts_of_classify() -> anyhow::Result<()> {
    let place = Place::new()?;
    let (first, second) = COMMENTS.split_at(7);
    let first = place.file("first.jsonl", labelled(first))?.display().to_string();
    let second = place.file("second.jsonl", labelled(second) + "\n")?.display().to_string();
    let picture = place.path().join("curves.svg").display().to_string();
    let arguments = ["evaluate", "--data", &first, "--data", &second, "--json", "--picture", &picture];
    let output = place.run(&arguments)?;
    assert_eq!(output.stdout.lines().count(), 1, "{output:?}");
    let figures = output.json()?;
    assert_eq!(
        (&figures["schema"], &figures["comments"], &figures["caution"]),
        (&json!("evaluation/1"), &json!(12), &json!("balanced"))
    );

    let texts: String = COMMENTS
        .iter()
        .map(|(text, ..)| json!({ "text": text }).to_string() + "\n")
        .collect();
    let verdicts = place.run_with(&["classify"], texts)?.success()?;
    let verdicts: Vec<Value> = verdicts.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!(verdicts[0]["model"], figures["model"]);
    let abusive = &figures["labels"]["abusive"];
    assert_eq!((&abusive["comments"], &abusive["positives"]), (&json!(12), &json!(5)));
    let threshold = abusive["threshold"].as_f64().context("threshold")?;
    let over = |wanted: u8| {
        let found = verdicts
            .iter()
            .zip(COMMENTS)
            .filter(|(verdict, (_, abusive, ..))| *abusive == wanted && verdict["scores"]["abusive"].as_f64() >= Some(threshold));
        found.count()
    };
    assert_eq!(abusive["by_score"]["recall"]["part"], over(1));
    assert_eq!(abusive["by_score"]["false_alarms"]["part"], over(0));
    for (name, wanted) in [("routes_positive", 1), ("routes_negative", 0)] {
        let of_value = || verdicts.iter().zip(COMMENTS).filter(|(_, (_, abusive, ..))| *abusive == wanted);
        for route in ["keep", "review", "hide"] {
            let count = of_value().filter(|(verdict, _)| verdict["route"] == route).count();
            assert_eq!(abusive[name][route], count, "{name} {route}");
        }
        let escalated = of_value().filter(|(verdict, _)| verdict["escalate"] == true).count();
        assert_eq!(abusive[name]["escalated"], escalated, "{name}");
    }
    // A coarse check of the whole: insults above praise.
    assert!(abusive["auc"]["estimate"].as_f64() > Some(0.8), "{abusive}");
    assert_eq!(abusive["groups"]["women"]["comments"], 4);
    assert_eq!(abusive["functionalities"]["neutral"]["positives"], 0);
    assert_eq!(abusive["files"][&first]["comments"], 7);
    assert_eq!(figures["labels"]["hate"]["positives"], 2);
    assert_eq!(figures["labels"]["threat"], Value::Null, "no line states it");
    let about_women = figures["false_alarms"].as_array().context("false_alarms")?;
    assert!(
        about_women
            .iter()
            .any(|alarm| alarm["kind"] == "identity" && alarm["name"] == "women" && alarm["flagged"]["whole"] == 2)
    );
    let svg = std::fs::read_to_string(&picture)?;
    assert!(
        svg.starts_with("<svg ") && svg.contains("role=\"img\"") && svg.contains("<desc id=\"desc\">"),
        "{svg}"
    );
    Ok(())
}

#[test]
fn tables_are_for_people_and_obey_nothing_in_the_data() -> anyhow::Result<()> {
    let place = Place::new()?;
    let hostile = ("Bonjour", 0, 0, "test\u{1b}[31m", "group\u{202e}x");
    let data = place
        .file("data.jsonl", labelled(&COMMENTS) + &line(hostile))?
        .display()
        .to_string();
    let text = place.run(&["evaluate", "--data", &data])?.success()?;
    for expected in [
        "13 comments",
        "(balanced)",
        "average precision",
        "recall at 1 % false alarms",
        "calibration error",
        "At the operating point",
        "escalated",
        "identity: women",
        "hate, neutral",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(
        !text.contains('\u{1b}') && !text.contains('\u{202e}') && text.contains("\\u{202e}"),
        "{text}"
    );
    assert!(!text.contains("cuisine"), "a text of the data is shown: {text}");
    Ok(())
}

#[test]
fn what_cannot_be_used_is_said_with_file_and_line() -> anyhow::Result<()> {
    let place = Place::new()?;
    let good = labelled(&COMMENTS[..2]);
    let cases = [
        (
            format!("{good}{{\"text\": \"secret\", \"labels\": {{\"insul\": 1}}}}"),
            "line 3: unknown label `insul`; did you mean `insult`?",
        ),
        (format!("{good}\n{{\"text\": \"secret\"}}"), "line 4: the field `labels` is missing"),
        (format!("{good}secret"), "line 3: not JSON"),
        (
            "{\"text\": \"secret\", \"labels\": {\"hate\": 2}}".to_owned(),
            "line 1: the label `hate` is neither 0 nor 1",
        ),
        (String::new(), "no comment of the data states a label"),
        (
            "{\"text\": \"secret\", \"labels\": {}}".to_owned(),
            "no comment of the data states a label",
        ),
    ];
    let path = place.path().join("wrong.jsonl").display().to_string();
    for (content, expected) in cases {
        place.file("wrong.jsonl", content)?;
        let stderr = place.run(&["evaluate", "--data", &path])?.failure(1)?;
        assert!(stderr.contains(expected) && !stderr.contains("secret"), "{expected}: {stderr}");
        assert!(!expected.starts_with("line") || stderr.contains("wrong.jsonl: line"), "{stderr}");
    }
    place.file("wrong.jsonl", good)?;
    let folder = place.path().display().to_string();
    for (arguments, expected) in [
        (vec!["--data", "/nowhere.jsonl"], "could not open the data /nowhere.jsonl"),
        (vec!["--data", &folder], "is a folder"),
        (vec!["--data", &path, "--data", &path], "is given twice"),
        (vec!["--data", &path, "--picture", "curves.png"], "name it curves.svg"),
        (vec!["--data", &path, "--picture", "/nowhere/curves.svg"], "there is no folder"),
        (
            vec!["--data", &path, "--policy", "gentle"],
            "there is no policy `gentle`; known: default",
        ),
    ] {
        let stderr = place.run(&[&["evaluate"], arguments.as_slice()].concat())?.failure(1)?;
        assert!(stderr.contains(expected), "{expected}: {stderr}");
    }
    assert!(vigie(&["evaluate"], "")?.failure(2)?.contains("--data <FILE>"));
    Ok(())
}
