//! The console of the moderators with a few comments in it, to look at its pages without a platform, a model or rules.
//!
//! `cargo run -p vigie-review --example console` prints the address, the login and the password; everything goes when it stops.

use std::time::Duration;

use vigie_domain::{
    Act, AuthorPseudonym, Comment, Context, Pseudonym, Reason, Route, RuleAction, RuleHit, ScoreLabel, Scores, Target, Topic, Verdict,
    VerdictId,
};
use vigie_runtime::testing::{runtime, sample_comment, sample_verdict};
use vigie_runtime::{record, server, signals};
use vigie_web::{Language, NewUser, Role, Scope, Web};

const LOGIN: &str = "jeanne";
const PASSWORD: &str = "quatre mots au hasard";
const POST: &str = "Le musée rouvre ses portes samedi à 10 h, après dix-huit mois de travaux. L’entrée est libre jusqu’à 18 h.";

fn main() -> anyhow::Result<()> {
    tokio::runtime::Runtime::new()?.block_on(show())
}

#[expect(clippy::print_stdout, reason = "an example talks to the person who runs it")]
async fn show() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let runtime = runtime(dir.path()).await?;
    signals::watch(runtime.stop.clone())?;
    let web = Web::open(vigie_web::Config::default(), &runtime).await?;
    let started = vigie_review::start(vigie_review::Config::default(), runtime.clone(), web.clone()).await?;
    for (login, name, role) in [(LOGIN, "Vigie 12", Role::Admin), ("paul", "Vigie 7", Role::Moderator)] {
        let person = NewUser {
            login: login.to_owned(),
            pseudonym: Pseudonym::new(name)?,
            role,
            institutions: Scope::All,
            language: Language::Fr,
        };
        web.users().add(person, PASSWORD).await?;
    }
    let verdicts = samples();
    runtime.bus.publish(Topic::Verdicts, verdicts.iter().map(record).collect()).await?;
    let listener = server::bind("127.0.0.1:0").await?;
    println!("http://{}/queue  {LOGIN}  {PASSWORD}", listener.local_addr()?);
    let routes = web.wrap(started.routes).merge(server::operations(&runtime));
    server::serve(listener, routes, runtime.clone(), Duration::from_secs(2)).await?;
    for task in started.tasks {
        task.await??;
    }
    Ok(())
}

fn samples() -> Vec<Verdict> {
    let insult = sample(
        "Encore des incapables au guichet, deux heures d’attente sous la pluie avec des enfants, merci le service public !",
        &[("incapables", Act::Insult, Some(Target::PublicAgent), 2, "insultes/incapable")],
        &[
            (ScoreLabel::Insult, 0.71),
            (ScoreLabel::Abusive, 0.64),
            (ScoreLabel::Criticism, 0.58),
            (ScoreLabel::Hate, 0.03),
        ],
        &[Reason::Disagreement, Reason::RuleReview],
        46,
    );
    let mut threat = sample(
        "Je sais où travaille la directrice, samedi je viens et je lui règle son compte.",
        &[(
            "je lui règle son compte",
            Act::Threat,
            Some(Target::PublicAgent),
            5,
            "menaces/regler-son-compte",
        )],
        &[(ScoreLabel::Threat, 0.94), (ScoreLabel::Abusive, 0.91), (ScoreLabel::Insult, 0.22)],
        &[Reason::Urgent, Reason::RuleReview],
        99,
    );
    threat.escalate = true;
    let mut distress = sample(
        "De toute façon plus rien n’a de sens, ce soir j’en finis.",
        &[("j’en finis", Act::Distress, None, 4, "detresse/en-finir")],
        &[(ScoreLabel::Distress, 0.83), (ScoreLabel::Abusive, 0.08)],
        &[Reason::Urgent],
        95,
    );
    distress.escalate = true;
    let mut drawn = sample(
        "On a adoré la salle des globes, les enfants veulent revenir. Dommage que la boutique ferme si tôt.",
        &[],
        &[(ScoreLabel::Abusive, 0.02)],
        &[Reason::Harmless],
        2,
    );
    drawn.route = Route::Keep;
    drawn.audit.selected = true;
    let hostile = sample(
        "<script>alert('bonjour')</script> Gagnez 500 € ici =cmd|' /C calc'!A0 \u{202E}moc.elpmaxe\u{202C} \u{200B}👩\u{200D}👧",
        &[("Gagnez 500 €", Act::Spam, None, 2, "publicite/gain")],
        &[(ScoreLabel::Spam, 0.88), (ScoreLabel::Abusive, 0.3)],
        &[Reason::RuleReview, Reason::UnknownLanguage],
        40,
    );
    let long = sample(
        &"Une longue histoire de visite, racontée sans reprendre son souffle. ".repeat(40),
        &[],
        &[(ScoreLabel::Abusive, 0.31)],
        &[Reason::ScoreReview],
        30,
    );
    vec![insult, threat, distress, drawn, hostile, long]
}

/// What a sample rule found: the words, what they do, to whom, how gravely, under which rule.
type Hit<'a> = (&'a str, Act, Option<Target>, u8, &'a str);

fn sample(text: &str, hits: &[Hit<'_>], scores: &[(ScoreLabel, f32)], reasons: &[Reason], priority: u8) -> Verdict {
    let mut verdict = sample_verdict(text, Route::Review);
    verdict.comment = Comment {
        context: Context {
            post_text: Some(POST.to_owned()),
            parent_text: text
                .starts_with("Encore")
                .then(|| "L’accueil a été parfait, bravo aux équipes.".to_owned()),
        },
        author: AuthorPseudonym::new("5b7c0e1f9a2d").ok(),
        permalink: Some("https://social.example/@musee/1".to_owned()),
        ..sample_comment(text)
    };
    verdict.id = VerdictId::derive(&verdict.comment.revision, "model", "rulebook", "policy");
    verdict.reasons = reasons.to_vec();
    verdict.priority = priority;
    verdict.scores = Scores(scores.iter().copied().collect());
    verdict.rules = hits
        .iter()
        .map(|(words, act, target, severity, rule)| {
            let start = text.find(words).unwrap_or_default();
            RuleHit {
                rule: (*rule).to_owned(),
                act: *act,
                target: *target,
                severity: *severity,
                action: RuleAction::Review,
                span: [start, start + words.len()],
            }
        })
        .collect();
    verdict
}
