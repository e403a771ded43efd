use super::*;
use crate::fixtures::{at, given, tenant};

fn receive() -> ReceiveWebhook {
    ReceiveWebhook {
        notice: "evt_1".to_owned(),
        kind: "invoice.payment_failed".to_owned(),
        customer: Some("cus_1".to_owned()),
        created: at("2026-03-14T09:26:53Z"),
    }
}

fn received() -> WebhookEvent {
    let ReceiveWebhook { notice, kind, customer, created } = receive();
    WebhookEvent::WebhookReceived { notice, kind, customer, created }
}

fn settle() -> SettleWebhook {
    SettleWebhook { outcome: WebhookOutcome::Applied, tenant_id: Some(tenant()) }
}

fn settled() -> WebhookEvent {
    WebhookEvent::WebhookSettled { outcome: WebhookOutcome::Applied, tenant_id: Some(tenant()) }
}

fn given_up() -> WebhookEvent {
    WebhookEvent::WebhookGivenUp { reason: "no answer".to_owned() }
}

#[test]
fn a_notice_is_received_once_however_often_it_comes() {
    given::<Webhook>(vec![]).when(receive().into()).then_expect_events(vec![received()]);
    given::<Webhook>(vec![received()]).when(receive().into()).then_expect_events(vec![]);
    given::<Webhook>(vec![received(), settled()]).when(receive().into()).then_expect_events(vec![]);
}

#[test]
fn a_notice_is_settled_once() {
    given::<Webhook>(vec![received()]).when(settle().into()).then_expect_events(vec![settled()]);
    given::<Webhook>(vec![received(), settled()]).when(settle().into()).then_expect_events(vec![]);
    let give_up = GiveUpWebhook { reason: "no answer".to_owned() };
    given::<Webhook>(vec![received(), settled()]).when(give_up.into()).then_expect_events(vec![]);
}

#[test]
fn what_did_not_come_cannot_be_settled() {
    given::<Webhook>(vec![]).when(settle().into()).then_expect_error(WebhookError::NotReceived);
}

#[test]
fn what_was_given_up_can_be_retried_and_nothing_else() {
    let retried = vec![WebhookEvent::WebhookRetried {}];
    given::<Webhook>(vec![received(), given_up()]).when(RetryWebhook.into()).then_expect_events(retried.clone());
    given::<Webhook>(vec![received()]).when(RetryWebhook.into()).then_expect_error(WebhookError::NotGivenUp);
    let history = vec![received(), given_up(), WebhookEvent::WebhookRetried {}];
    given::<Webhook>(history).when(RetryWebhook.into()).then_expect_error(WebhookError::NotGivenUp);
}
