use std::collections::HashSet;

use chrono::Utc;
use starscreen_commands::{
    append::{Append, Writer},
    db::{Db, Scope},
};
use starscreen_domain::{
    Actor, ClaimId, CommandId, Event, EventId, Metadata, Recorded, Sealed, UserId, account::AccountEvent, sealed::Clear,
};
use starscreen_projections::Opener;

use super::*;
use crate::data_dir::ScratchDir;

const NAME: &str = "Ada Lovelace";

/// A vault over a store of its own, with one tenant and one person in it.
struct Vaulted {
    scratch: ScratchDir,
    db: Db,
    writer: Writer,
    keys: Keys,
}

fn master(byte: u8) -> MasterKey {
    MasterKey::init_with(|| [byte; 32])
}

fn tenant(number: u128) -> TenantId {
    TenantId(Uuid::from_u128(0x7e4a_0000 + number))
}

fn person(number: u128) -> Uuid {
    Uuid::from_u128(0xada_0000 + number)
}

/// Who belongs to whom here: the second person to the second tenant, all others to the first.
fn tenant_of(subject: Uuid) -> TenantId {
    tenant(if subject == person(2) { 2 } else { 1 })
}

impl Vaulted {
    async fn start() -> Self {
        let scratch = ScratchDir::new();
        let db = Db::open_sqlite(&scratch.path().join("write.db")).await.unwrap();
        let writer = Writer::start(db.clone(), None).await.unwrap();
        let keys = Keys::new(&master(1), Registry::new(db.clone())).unwrap();
        let vaulted = Self { scratch, db, writer, keys };
        vaulted.register(tenant(1), person(1)).await;
        vaulted
    }

    async fn register(&self, tenant: TenantId, person: Uuid) -> Arc<dyn SubjectKey> {
        let tenant_key = self.keys.new_tenant_key(tenant).unwrap();
        let (key, person_key) = self.keys.new_subject_key(tenant, person, Some(&tenant_key)).await.unwrap();
        self.commit(vec![tenant_key, person_key]).await;
        key
    }

    async fn commit(&self, keys: Vec<NewKey>) {
        self.writer.append(Append { keys, ..Append::default() }).await.unwrap();
    }

    async fn change(&self, sql: &str, values: Vec<Uuid>) {
        let mut tx = self.db.begin(Scope::All).await.unwrap();
        let rows = tx.execute(sql, values.into_iter().map(Into::into).collect()).await.unwrap();
        assert_eq!(rows, 1);
        tx.commit().await.unwrap();
    }

    async fn destroy(&self, subject: Uuid) {
        self.change("UPDATE subject_keys SET wrapped = NULL WHERE subject_id = $1", vec![subject]).await;
    }

    async fn key(&self, subject: Uuid) -> Arc<dyn SubjectKey> {
        self.keys.subject_key(tenant_of(subject), subject).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn what_was_sealed_at_registration_opens_after_a_restart() {
    let vaulted = Vaulted::start().await;
    let key = vaulted.register(tenant(2), person(2)).await;
    let sealed = key.seal("full_name", NAME).unwrap();
    assert_eq!(sealed.key, person(2));
    assert_eq!(sealed.data.len(), 1 + 12 + NAME.len() + 16);

    let db = Db::open_sqlite(&vaulted.scratch.path().join("write.db")).await.unwrap();
    let again =
        Keys::new(&master(1), Registry::new(db)).unwrap().subject_key(tenant(2), person(2)).await.unwrap().unwrap();
    assert_eq!(again.open_bytes("full_name", &sealed.data).unwrap(), NAME.as_bytes());
}

#[tokio::test]
async fn a_person_who_comes_later_is_sealed_under_the_committed_tenant() {
    let vaulted = Vaulted::start().await;
    let (key, new) = vaulted.keys.new_subject_key(tenant(1), person(9), None).await.unwrap();
    assert_eq!((new.tenant_id, new.subject_id), (tenant(1), person(9)));
    vaulted.commit(vec![new]).await;
    let sealed = key.seal_bytes("file", b"").unwrap();
    assert_eq!(vaulted.key(person(9)).await.open_bytes("file", &sealed).unwrap(), b"");

    let unknown = vaulted.keys.new_subject_key(tenant(7), person(7), None).await;
    assert!(matches!(unknown.map(drop), Err(VaultError::NoKey(id)) if id == tenant(7).0));
}

#[tokio::test]
async fn the_same_text_is_never_sealed_alike() {
    let vaulted = Vaulted::start().await;
    let key = vaulted.key(person(1)).await;
    let sealed: HashSet<Vec<u8>> = (0..1_000).map(|_| key.seal_bytes("full_name", NAME.as_bytes()).unwrap()).collect();
    let nonces: HashSet<&[u8]> = sealed.iter().map(|data| &data[1..13]).collect();
    assert_eq!((sealed.len(), nonces.len()), (1_000, 1_000));
}

#[tokio::test]
async fn a_changed_bit_is_noticed_wherever_it_is() {
    let vaulted = Vaulted::start().await;
    let key = vaulted.key(person(1)).await;
    let sealed = key.seal_bytes("full_name", NAME.as_bytes()).unwrap();
    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(key.open_bytes("full_name", &changed), Err(VaultError::DoesNotOpen)), "bit {bit}");
    }
    for length in 0..sealed.len() {
        assert!(key.open_bytes("full_name", &sealed[..length]).is_err(), "{length} bytes");
    }
}

#[tokio::test]
async fn sealed_data_opens_in_its_own_field_only() {
    let vaulted = Vaulted::start().await;
    let key = vaulted.key(person(1)).await;
    let sealed = key.seal_bytes("full_name", NAME.as_bytes()).unwrap();
    for field in ["", "full_nam", "full_name ", "company_name"] {
        assert!(key.open_bytes(field, &sealed).is_err(), "{field}");
    }
}

#[tokio::test]
async fn a_key_moved_to_another_person_or_tenant_does_not_unwrap() {
    let vaulted = Vaulted::start().await;
    vaulted.register(tenant(2), person(2)).await;
    let copy = "UPDATE subject_keys SET wrapped = (SELECT wrapped FROM subject_keys WHERE subject_id = $2)
        WHERE subject_id = $1";
    // A person's key in a tenant's place, and the other way round, are caught as well.
    for (to, from) in [(person(1), person(2)), (person(1), tenant(1).0), (tenant(2).0, tenant(1).0)] {
        vaulted.change(copy, vec![to, from]).await;
    }
    for moved in [person(1), person(2)] {
        assert!(
            matches!(vaulted.keys.subject_key(tenant_of(moved), moved).await.map(drop), Err(VaultError::DoesNotOpen)),
            "{moved}"
        );
    }
}

#[tokio::test]
async fn a_person_moved_to_another_tenant_does_not_unwrap() {
    let vaulted = Vaulted::start().await;
    vaulted.register(tenant(2), person(2)).await;
    vaulted.change("UPDATE subject_keys SET tenant_id = $2 WHERE subject_id = $1", vec![person(1), tenant(2).0]).await;
    assert!(matches!(vaulted.keys.subject_key(tenant(2), person(1)).await.map(drop), Err(VaultError::DoesNotOpen)));
}

#[tokio::test]
async fn another_master_key_opens_nothing() {
    let vaulted = Vaulted::start().await;
    let other = Keys::new(&master(2), Registry::new(vaulted.db.clone())).unwrap();
    assert!(matches!(other.subject_key(tenant(1), person(1)).await.map(drop), Err(VaultError::DoesNotOpen)));
    assert_ne!(other.claim_id("ada@example.com"), vaulted.keys.claim_id("ada@example.com"));
}

#[tokio::test]
async fn a_destroyed_key_is_gone_with_the_next_call() {
    let vaulted = Vaulted::start().await;
    vaulted.key(person(1)).await;
    vaulted.destroy(person(1)).await;
    assert!(vaulted.keys.subject_key(tenant(1), person(1)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_destroyed_tenant_takes_its_people_along() {
    let vaulted = Vaulted::start().await;
    vaulted.key(person(1)).await;
    vaulted.destroy(tenant(1).0).await;
    assert!(vaulted.keys.subject_key(tenant(1), person(1)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_person_who_never_had_a_key_is_an_error_and_not_erased() {
    let vaulted = Vaulted::start().await;
    assert!(
        matches!(vaulted.keys.subject_key(tenant(1), person(5)).await.map(drop), Err(VaultError::NoKey(id)) if id == person(5))
    );
}

#[tokio::test]
async fn an_address_is_claimed_once_however_it_is_typed() {
    let vaulted = Vaulted::start().await;
    let claim = |email: &str| vaulted.keys.claim_id(email);
    for same in [" Ada@Example.COM\n", "ADA@EXAMPLE.COM", "ada@example.com\u{a0}"] {
        assert_eq!(claim(same), claim("ada@example.com"), "{same:?}");
    }
    assert_eq!(claim("Žofie@example.com"), claim("z\u{30c}ofie@example.com"), "composed and decomposed");
    for other in ["ada@example.co", "a.da@example.com", "ada+jobs@example.com", "zofie@example.com"] {
        assert_ne!(claim(other), claim("ada@example.com"), "{other}");
    }
}

/// The values are Python's, of HKDF-SHA256 and HMAC-SHA256 as RFC 5869 and RFC 2104 have them.
#[tokio::test]
async fn claims_and_hashes_stay_the_same_for_ever() {
    let vaulted = Vaulted::start().await;
    assert_eq!(vaulted.keys.claim_id("ada@example.com").to_string(), "c6ed9840-5a37-8f9f-893b-e19697bc50bd");
    let hash = "464ec69a98c2a8d14e119795f937940a9d5bf7f2b9d7124b66c612db6852a6ea";
    assert_eq!(vaulted.keys.content_hash(tenant(1), b"resume"), hash);
}

#[tokio::test]
async fn the_same_file_is_known_again_within_a_tenant_only() {
    let vaulted = Vaulted::start().await;
    let hash = |number, content: &[u8]| vaulted.keys.content_hash(tenant(number), content);
    assert_eq!(hash(1, b"resume"), hash(1, b"resume"));
    assert_ne!(hash(1, b"resume"), hash(2, b"resume"));
    assert_ne!(hash(1, b"resume"), hash(1, b"resum"));
    assert_eq!(hash(1, b"").len(), 64);
}

/// `AccountRegistered` with an address and a name, sealed for `person` by `key`.
fn registered(tenant: TenantId, email: Sealed, full_name: Option<Sealed>) -> Recorded<Event> {
    Recorded {
        position: 1,
        tenant_position: Some(1),
        tenant_id: Some(tenant),
        event_id: EventId(Uuid::nil()),
        aggregate_type: "account".to_owned(),
        aggregate_id: tenant.0,
        sequence: 1,
        recorded_at: Utc::now(),
        metadata: Metadata {
            command_id: CommandId(Uuid::nil()),
            actor: Actor::System,
            occurred_at: Utc::now(),
            correlation_id: Uuid::nil(),
            causation_id: Uuid::nil(),
            traceparent: None,
            source: String::new(),
        },
        payload: Event::Account(AccountEvent::AccountRegistered {
            user_id: UserId(email.key),
            claim_id: ClaimId(Uuid::nil()),
            email,
            full_name,
            company_name: None,
        }),
    }
}

fn opened(event: &mut Recorded<Event>) -> Vec<Option<String>> {
    event.payload.sealed_mut().iter().map(|(_, sealed)| sealed.text().map(str::to_owned)).collect()
}

#[tokio::test]
async fn a_batch_is_opened_in_place_whoever_is_in_it() {
    let vaulted = Vaulted::start().await;
    let mut events = Vec::new();
    for number in 1..=100 {
        let (tenant, person) = (tenant(1_000 + number % 7), person(1_000 + number));
        let key = match vaulted.keys.new_subject_key(tenant, person, None).await {
            Ok((key, new)) => {
                vaulted.commit(vec![new]).await;
                key
            }
            Err(_) => vaulted.register(tenant, person).await,
        };
        let name = key.seal("full_name", &format!("Person {number}")).unwrap();
        events.push(registered(tenant, key.seal("email", "a@example.com").unwrap(), Some(name)));
    }
    assert_eq!(vaulted.keys.open(&mut events).await.unwrap(), vec![None; 100]);
    for (event, number) in events.iter_mut().zip(1..) {
        assert_eq!(opened(event), [Some("a@example.com".to_owned()), Some(format!("Person {number}"))]);
    }
}

#[tokio::test]
async fn the_erased_read_as_erased_and_hurt_nobody_else() {
    let vaulted = Vaulted::start().await;
    let erased = vaulted.register(tenant(2), person(2)).await;
    let gone_with_tenant = vaulted.register(tenant(3), person(3)).await;
    let ada = vaulted.key(person(1)).await;
    let mut events = [
        registered(tenant(2), erased.seal("email", "a").unwrap(), None),
        registered(tenant(3), gone_with_tenant.seal("email", "b").unwrap(), None),
        registered(tenant(1), ada.seal("email", "c").unwrap(), None),
    ];
    vaulted.destroy(person(2)).await;
    vaulted.destroy(tenant(3).0).await;
    assert_eq!(vaulted.keys.open(&mut events).await.unwrap(), [None, None, None]);
    assert_eq!(opened(&mut events[0]), [None]);
    assert_eq!(opened(&mut events[1]), [None]);
    assert_eq!(opened(&mut events[2]), [Some("c".to_owned())]);
}

#[tokio::test]
async fn an_event_that_does_not_open_says_why_and_hurts_nobody_else() {
    let vaulted = Vaulted::start().await;
    let ada = vaulted.key(person(1)).await;
    vaulted.register(tenant(2), person(2)).await;
    let broken = vaulted.register(tenant(4), person(4)).await;
    vaulted.change("UPDATE subject_keys SET wrapped = zeroblob(61) WHERE subject_id = $1", vec![person(4)]).await;

    let email = || ada.seal("email", "ada@example.com").unwrap();
    let no_text = Sealed::new(person(1), ada.seal_bytes("email", &[0xff]).unwrap());
    let mut events = [
        registered(tenant(1), Sealed::new(person(6), vec![1; 40]), None),
        registered(tenant(1), ada.seal("full_name", NAME).unwrap(), None),
        registered(tenant(2), email(), None),
        registered(tenant(4), broken.seal("email", "d").unwrap(), None),
        registered(tenant(1), no_text, None),
        registered(tenant(1), email(), None),
    ];
    let outcome = vaulted.keys.open(&mut events).await.unwrap();
    let reasons: Vec<&str> = outcome.iter().map(|reason| reason.as_deref().unwrap_or_default()).collect();
    let does_not_open = VaultError::DoesNotOpen.to_string();
    assert_eq!(
        reasons,
        [
            format!("there is no key for {}", person(6)),
            format!("field email: {does_not_open}"),
            "field email is sealed with a key of another tenant".to_owned(),
            format!("key of {} cannot be unwrapped: {does_not_open}", person(4)),
            "field email is sealed, but is no text".to_owned(),
            String::new(),
        ]
    );
    assert_eq!(opened(&mut events[5]), [Some("ada@example.com".to_owned())]);
}

#[tokio::test]
async fn what_was_opened_before_is_erased_when_it_is_opened_again() {
    let vaulted = Vaulted::start().await;
    let email = vaulted.key(person(1)).await.seal("email", "ada@example.com").unwrap();
    let mut events = [registered(tenant(1), email.opened(Clear::Open("ada@example.com".to_owned())), None)];
    vaulted.destroy(person(1)).await;
    vaulted.keys.open(&mut events).await.unwrap();
    assert_eq!(opened(&mut events[0]), [None]);
}

#[tokio::test]
async fn an_unreadable_key_store_is_no_fault_of_the_events() {
    let vaulted = Vaulted::start().await;
    let email = vaulted.key(person(1)).await.seal("email", "ada@example.com").unwrap();
    vaulted.db.close().await;
    assert!(vaulted.keys.open(&mut [registered(tenant(1), email, None)]).await.is_err());
    assert!(matches!(vaulted.keys.subject_key(tenant(1), person(1)).await.map(drop), Err(VaultError::Unavailable(_))));
}

#[test]
fn two_places_never_read_the_same() {
    let places = [
        Bound { purpose: Purpose::Field, tenant: tenant(1), subject: person(1), field: "" },
        Bound { purpose: Purpose::SubjectKey, tenant: tenant(1), subject: person(1), field: "" },
        Bound { purpose: Purpose::TenantKey, tenant: tenant(1), subject: person(1), field: "" },
        Bound { purpose: Purpose::Field, tenant: tenant(2), subject: person(1), field: "" },
        Bound { purpose: Purpose::Field, tenant: tenant(1), subject: person(2), field: "" },
        Bound { purpose: Purpose::Field, tenant: TenantId(person(1)), subject: tenant(1).0, field: "" },
        Bound { purpose: Purpose::Field, tenant: tenant(1), subject: person(1), field: "\0" },
    ];
    let cipher = Cipher::new(&[7; 32]).unwrap();
    for (sealed_at, place) in places.iter().enumerate() {
        let sealed = cipher.seal(place, b"clear").unwrap();
        for (opened_at, other) in places.iter().enumerate() {
            assert_eq!(cipher.open(other, &sealed).is_ok(), sealed_at == opened_at, "{sealed_at} at {opened_at}");
        }
    }
}

#[test]
fn every_new_key_is_another() {
    let (place, parent) = (subject_binding(tenant(1), person(1)), Cipher::new(&[7; 32]).unwrap());
    let (first, _) = parent.new_wrapped(&place).unwrap();
    let (second, _) = parent.new_wrapped(&place).unwrap();
    let sealed = first.seal(&place, b"clear").unwrap();
    assert!(first.open(&place, &sealed).is_ok());
    assert!(second.open(&place, &sealed).is_err());
}
