//! The whole service on the embedded bus: verdicts in, pages, decisions out.

mod browser;

use std::time::Duration;

use axum::http::StatusCode;
use browser::Stand;
use vigie_domain::{
    Act, Comment, Context, Decision, Explanation, LegalBasis, NewComment, Outcome, Reason, Route, RuleAction, RuleHit, ScoreLabel, Scores,
    Target, Topic, Verdict, VerdictId, WordWeight, decode,
};
use vigie_runtime::testing::{runtime, sample_comment, sample_verdict};
use vigie_runtime::{Runtime, record};
use vigie_web::Role;

const HOSTILE: &str = "<script>alert(1)</script> =cmd|' /C calc'!A0 \u{202E}txt \u{200B}";

async fn publish(runtime: &Runtime, verdicts: &[Verdict]) -> anyhow::Result<()> {
    Ok(runtime.bus.publish(Topic::Verdicts, verdicts.iter().map(record).collect()).await?)
}

/// `count` decisions from the topic, and the certainty that no more come at once.
async fn decisions(runtime: &Runtime, count: usize) -> anyhow::Result<Vec<Decision>> {
    let mut consumer = runtime.bus.subscribe("look", &[Topic::Decisions]).await?;
    let mut all: Vec<Decision> = Vec::new();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while all.len() < count && tokio::time::Instant::now() < deadline {
        for delivery in consumer.receive(100, Duration::from_secs(1)).await? {
            all.push(decode(&delivery.record.payload)?);
        }
    }
    let more = consumer.receive(100, Duration::from_millis(500)).await?;
    assert_eq!((all.len(), more.len()), (count, 0));
    Ok(all)
}

/// A comment of which rules and model have much to say.
fn flagged(text: &str, insult: &str) -> Verdict {
    let mut verdict = sample_verdict(text, Route::Review);
    let start = text.find(insult).unwrap_or_default();
    verdict.reasons = vec![Reason::Disagreement, Reason::RuleReview];
    verdict.rules = vec![RuleHit {
        rule: "essai/insulte".to_owned(),
        act: Act::Insult,
        target: Some(Target::PublicAgent),
        severity: 2,
        action: RuleAction::Review,
        span: [start, start + insult.len()],
    }];
    verdict.scores = Scores([(ScoreLabel::Insult, 0.87), (ScoreLabel::Hate, 0.04)].into());
    verdict.explanation = Some(Explanation {
        label: ScoreLabel::Insult,
        words: vec![
            WordWeight {
                span: [start, start + insult.len()],
                weight: 0.32,
            },
            WordWeight {
                span: [text.rfind(' ').map_or(0, |space| space + 1), text.len()],
                weight: -0.05,
            },
            WordWeight {
                span: [text.len() + 3, text.len() + 7],
                weight: 0.03,
            },
        ],
    });
    verdict.comment = with_context(&verdict.comment);
    verdict
}

fn with_context(comment: &Comment) -> Comment {
    NewComment {
        context: Context {
            post_text: Some("Le musée rouvre <b>samedi</b>.".to_owned()),
            parent_text: Some("Enfin !".to_owned()),
        },
        platform: comment.platform,
        account: comment.account.clone(),
        institution: comment.institution.clone(),
        post: comment.post.clone(),
        native_id: comment.native_id.clone(),
        parent: None,
        author: None,
        author_sealed: None,
        text: comment.text.clone(),
        created_at: comment.created_at,
        edited_at: None,
        collected_at: comment.collected_at,
        deleted: None,
        permalink: Some("javascript:alert(1)".to_owned()),
        language: None,
        evidence: None,
    }
    .build()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_decides_and_the_topic_gets_it_once() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let stand = Stand::start(runtime(dir.path()).await?).await?;
    let mut ann = stand.person("ann", Role::Moderator).await?;
    assert!(ann.get("/queue").await?.body.contains("Rien à traiter pour le moment"));

    let first = flagged("Encore un incapable au guichet", "incapable");
    let second = sample_verdict("Autre texte", Route::Review);
    publish(&stand.runtime, &[first.clone(), second.clone(), first.clone()]).await?;
    let page = ann.await_queue("Encore un").await?;
    for expected in [
        "<mark class=\"weighed\" title=\"injure → agent public (essai/insulte) ; relève le score\">incapable</mark>",
        "<u class=\"weighed\" title=\"abaisse le score\">guichet</u>",
        "Mots qui ont pesé sur le score</span> «\u{a0}injure\u{a0}»\u{a0}: <q>incapable</q> (+32\u{a0}points), <q>guichet</q> (−5\u{a0}points).",
        "Les règles et le modèle se contredisent.",
        "très probable · 87\u{202F}%",
        "peu probable · 4\u{202F}%",
        "Le musée rouvre &lt;b&gt;samedi&lt;/b&gt;.",
        "Enfin !",
        "Musée d'essai",
        "data-key=\"g\"",
        "data-key=\"m\"",
        "data-key=\"e\"",
    ] {
        assert!(page.body.contains(expected), "the page lacks {expected}");
    }
    assert!(!page.body.contains("javascript:"), "an address that is no web address is no link");

    let fields = [
        ("outcome", "escalate"),
        ("act", "insult"),
        ("act", "threat"),
        ("act", "no-such-act"),
        ("target", "public-agent"),
        ("legal_basis", "menace-agent-public"),
        ("note", " vu au guichet\r\nhier "),
    ];
    let answer = ann.submit(&page, "/queue/decide", &fields).await?;
    assert!(answer.location().starts_with("/queue?done="), "{}", answer.location());
    let next = ann.get(answer.location()).await?;
    assert!(next.body.contains("Autre texte") && next.body.contains("Commentaire précédent\u{a0}: <strong>transmis</strong>"));
    let twice = ann.submit(&page, "/queue/decide", &fields).await?;
    assert_eq!(twice.location(), "/queue?said=decided");

    publish(&stand.runtime, &[second, first.clone()]).await?;
    let all = decisions(&stand.runtime, 1).await?;
    let [decision] = all.as_slice() else {
        anyhow::bail!("one decision")
    };
    assert_eq!(decision.verdict, first);
    assert_eq!((decision.outcome, decision.sequence, decision.blind), (Outcome::Escalate, 0, false));
    assert_eq!(
        (&decision.acts, &decision.targets),
        (&vec![Act::Insult, Act::Threat], &vec![Target::PublicAgent])
    );
    assert_eq!(
        (decision.legal_basis, decision.note.as_deref()),
        (Some(LegalBasis::MenaceAgentPublic), Some("vu au guichet\nhier"))
    );
    assert!((stand.metric("vigie_review_decisions_total{outcome=\"escalate\"}").await? - 1.0).abs() < 1e-9);
    stand.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_undone_from_the_list() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let stand = Stand::start(runtime(dir.path()).await?).await?;
    let mut ann = stand.person("ann", Role::Moderator).await?;
    let mut bob = stand.person("bob", Role::Lead).await?;
    publish(&stand.runtime, &[sample_verdict("Le texte", Route::Review)]).await?;
    let page = ann.await_queue("Le texte").await?;
    assert!(
        bob.get("/queue").await?.body.contains("Rien à traiter"),
        "two people never see the same comment"
    );
    ann.submit(&page, "/queue/decide", &[("outcome", "hide")]).await?;
    let list = ann.get("/decisions").await?;
    assert!(list.body.contains("Le texte") && list.body.contains("masqué"));
    let decision = list.value("decision");
    let own_list = bob.get("/decisions").await?;
    let theirs = bob.submit(&own_list, "/decisions/undo", &[("decision", &decision)]).await?;
    assert_eq!(theirs.location(), "/decisions?said=unknown");
    let undone = ann.submit(&list, "/decisions/undo", &[("decision", &decision)]).await?;
    assert_eq!(undone.location(), "/queue?said=undone");
    let again = ann.get(undone.location()).await?;
    assert!(again.body.contains("Décision annulée") && again.body.contains("Le texte"));
    assert!(ann.get("/decisions").await?.body.contains("Annulée"));
    ann.submit(&again, "/queue/decide", &[("outcome", "keep")]).await?;
    let steps: Vec<_> = decisions(&stand.runtime, 3)
        .await?
        .iter()
        .map(|one| (one.sequence, one.outcome, one.undoes.is_some()))
        .collect();
    assert_eq!(
        steps,
        [(0, Outcome::Hide, false), (1, Outcome::Keep, true), (2, Outcome::Keep, false)]
    );
    assert!((stand.metric("vigie_review_decisions_total{outcome=\"undo\"}").await? - 1.0).abs() < 1e-9);
    stand.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blind_check_shows_nothing_of_the_analysis() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let stand = Stand::start(runtime(dir.path()).await?).await?;
    let mut ann = stand.person("ann", Role::Moderator).await?;
    let mut verdict = flagged("Encore un incapable au guichet", "incapable");
    verdict.audit.selected = true;
    verdict.escalate = true;
    publish(&stand.runtime, &[verdict]).await?;
    let page = ann.await_queue("Contrôle à l’aveugle").await?;
    for hidden in [
        "<mark",
        "weighed",
        "ont pesé",
        "essai/insulte",
        "87\u{202F}%",
        "contredisent",
        "Urgent",
        "class=\"scores\"",
        "Proposés d’après",
        "Danger immédiat",
    ] {
        assert!(!page.body.contains(hidden), "a blind page shows {hidden}");
    }
    let entered = ann.submit(&page, "/queue/decide", &[("outcome", ""), ("act", "spam")]).await?;
    assert_eq!(entered.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(entered.body.contains("Choisissez une décision") && entered.body.contains("value=\"spam\" checked"));
    let refused = ann
        .submit(
            &page,
            "/queue/decide",
            &[("outcome", "hide"), ("target", "user"), ("note", "ma note")],
        )
        .await?;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.body.contains("cochez la nature des propos") && refused.body.contains("ma note"));
    assert!(refused.body.contains("value=\"user\" checked"), "what was entered is not lost");
    ann.submit(&refused, "/queue/decide", &[("outcome", "hide"), ("act", "insult")])
        .await?;
    let all = decisions(&stand.runtime, 1).await?;
    assert!(all[0].blind && all[0].acts == [Act::Insult]);
    stand.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_is_shown_and_never_interpreted() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let stand = Stand::start(runtime(dir.path()).await?).await?;
    let mut ann = stand.person("ann", Role::Moderator).await?;
    publish(
        &stand.runtime,
        &[
            sample_verdict(HOSTILE, Route::Review),
            sample_verdict("Un voisin <script>", Route::Review),
        ],
    )
    .await?;
    let page = ann.await_queue("Autres commentaires").await?;
    ann.submit(&page, "/queue/decide", &[("outcome", "keep"), ("note", "<img src=x>")])
        .await?;
    let mut bodies = vec![page.body, ann.get("/queue").await?.body, ann.get("/decisions").await?.body];
    for body in &mut bodies {
        *body = body.replace("<script src=\"/assets/vigie.js", "");
        assert!(!body.contains("<script") && !body.contains("<img"), "a text became markup");
        assert!(
            !body.contains('\u{202E}') && !body.contains('\u{200B}'),
            "a hidden character is hidden"
        );
    }
    assert!(
        bodies
            .iter()
            .any(|body| body.contains("&lt;script&gt;alert(1)") && body.contains("U+202E"))
    );
    stand.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn severe_text_is_folded_and_a_skip_needs_a_reason() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let stand = Stand::start(runtime(dir.path()).await?).await?;
    let mut ann = stand.person("ann", Role::Moderator).await?;
    let mut severe = sample_verdict("Le texte éprouvant", Route::Review);
    severe.escalate = true;
    publish(&stand.runtime, &[severe]).await?;
    let page = ann.await_queue("Le texte éprouvant").await?;
    let fold = page.body.find("class=\"veil\"").unwrap_or(usize::MAX);
    assert!(fold < page.body.find("Le texte éprouvant").unwrap_or_default() && !page.body.contains("class=\"veil\" open"));
    assert!(page.body.contains("Danger immédiat\u{a0}: 15, 17 ou 112 (114 par SMS)"));
    let bare = ann.submit(&page, "/queue/skip", &[("reason", "")]).await?;
    assert_eq!(bare.status, StatusCode::BAD_REQUEST);
    let skipped = ann.submit(&page, "/queue/skip", &[("reason", "hard")]).await?;
    assert_eq!(skipped.location(), "/queue?said=skipped");
    let empty = ann.get(skipped.location()).await?;
    assert!(empty.body.contains("Commentaires que vous avez passés"));
    ann.submit(&empty, "/queue/resume", &[]).await?;
    assert!(ann.get("/queue").await?.body.contains("Le texte éprouvant"));
    assert!((stand.metric("vigie_review_skips_total{reason=\"hard\"}").await? - 1.0).abs() < 1e-9);
    stand.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_keeps_its_lease_and_hears_when_it_is_lost() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let stand = Stand::start(runtime(dir.path()).await?).await?;
    let mut ann = stand.person("ann", Role::Moderator).await?;
    let old = sample_verdict("Le texte", Route::Review);
    publish(&stand.runtime, std::slice::from_ref(&old)).await?;
    let page = ann.await_queue("Le texte").await?;
    assert_eq!(ann.submit(&page, "/queue/heartbeat", &[]).await?.status, StatusCode::NO_CONTENT);
    let mut edited = old.clone();
    edited.comment = edit(&old.comment, "Le texte corrigé");
    edited.id = VerdictId::derive(&edited.comment.revision, "model", "rulebook", "policy");
    publish(&stand.runtime, &[edited]).await?;
    for _ in 0..200 {
        if ann.submit(&page, "/queue/heartbeat", &[]).await?.status == StatusCode::CONFLICT {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let late = ann.submit(&page, "/queue/decide", &[("outcome", "hide")]).await?;
    assert_eq!(late.location(), "/queue?said=withdrawn");
    assert!(ann.get(late.location()).await?.body.contains("Le texte corrigé"));
    stand.stop().await
}

fn edit(comment: &Comment, text: &str) -> Comment {
    let mut edited = sample_comment(text);
    edited.id = comment.id.clone();
    edited.native_id = comment.native_id.clone();
    edited.edited_at = Some(jiff::Timestamp::now());
    edited.revision = vigie_domain::RevisionId::derive(&edited.id, text, edited.edited_at, false);
    edited
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_loses_no_lease_and_signs_nobody_out() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let stand = Stand::start(runtime(dir.path()).await?).await?;
    let mut ann = stand.person("ann", Role::Moderator).await?;
    publish(&stand.runtime, &[sample_verdict("Le texte", Route::Review)]).await?;
    let page = ann.await_queue("Le texte").await?;
    ann.leave();
    stand.stop().await?;

    let stand = Stand::start(runtime(dir.path()).await?).await?;
    ann.visit(&stand);
    let answer = ann.submit(&page, "/queue/decide", &[("outcome", "hide")]).await?;
    assert!(answer.location().starts_with("/queue?done="), "{}", answer.location());
    assert_eq!(decisions(&stand.runtime, 1).await?[0].outcome, Outcome::Hide);
    stand.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn analysts_do_not_decide() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let stand = Stand::start(runtime(dir.path()).await?).await?;
    let mut eve = stand.person("eve", Role::Analyst).await?;
    assert_eq!(eve.get("/queue").await?.location(), "/archive");
    let refused = eve.get("/decisions").await?;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    for path in ["/queue/decide", "/queue/skip", "/queue/resume", "/decisions/undo"] {
        assert_eq!(
            eve.submit(&refused, path, &[("outcome", "keep"), ("reason", "hard")]).await?.status,
            StatusCode::FORBIDDEN,
            "{path}"
        );
    }
    assert_eq!(eve.get("/queue/waiting").await?.status, StatusCode::FORBIDDEN);
    stand.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_control_has_a_name_and_nothing_runs_inline() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let stand = Stand::start(runtime(dir.path()).await?).await?;
    let mut ann = stand.person("ann", Role::Admin).await?;
    publish(
        &stand.runtime,
        &[
            flagged("Encore un incapable au guichet", "incapable"),
            sample_verdict("Voisin", Route::Review),
        ],
    )
    .await?;
    let item = ann.await_queue("Encore un").await?;
    ann.submit(&item, "/queue/decide", &[("outcome", "keep")]).await?;
    let pages = [
        item.body,
        ann.get("/decisions").await?.body,
        ann.get("/users").await?.body,
        ann.get("/account").await?.body,
    ];
    for body in &pages {
        for expected in ["<html lang=\"fr\">", "<main ", "<nav ", "class=\"skip\" href=\"#main\""] {
            assert!(body.contains(expected), "a page lacks {expected}");
        }
        assert_eq!(body.matches("<h1>").count(), 1);
        for forbidden in [" style=", " onclick=", " onload=", "<style"] {
            assert!(!body.contains(forbidden), "a page holds {forbidden}");
        }
        let ids: Vec<&str> = body.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(ids.len(), distinct.len(), "an id stands twice: {ids:?}");
        for tag in ["<input", "<select", "<textarea"] {
            for control in body.split(tag).skip(1).filter_map(|rest| rest.split('>').next()) {
                let id = control.split(" id=\"").nth(1).and_then(|rest| rest.split('"').next());
                let labelled = id.is_some_and(|id| body.contains(&format!("for=\"{id}\"")));
                let wrapped = control.contains("type=\"checkbox\"");
                assert!(
                    labelled || wrapped || control.contains("type=\"hidden\""),
                    "a control without a label: {tag}{control}"
                );
            }
        }
    }
    stand.stop().await
}
