//! Keys: who gets in, who does not, and what the one outside is told.

use super::*;
use std::sync::Arc;

fn secured(keys: &KeyPair, allowed: Allowed) -> Router {
    let curve = ServerCurve { keys: keys.clone(), allowed };
    let options = RouterOptions { curve: Some(curve), ..RouterOptions::default() };
    Router::bind(&[bind_side("tcp://127.0.0.1:*")], &options).unwrap()
}

fn dealer_with(address: &str, broker_key: &PublicKey, keys: &KeyPair) -> Dealer {
    let curve = ClientCurve { broker_key: broker_key.clone(), keys: keys.clone() };
    Dealer::connect(&connect_side(address), &DealerOptions { curve: Some(curve), ..DealerOptions::default() })
        .unwrap()
}

fn list_of(scratch: &Scratch, keys: &[&KeyPair]) -> Allowed {
    let path = scratch.0.join("clients");
    std::fs::write(&path, keys.iter().map(|pair| format!("{}\n", pair.public)).collect::<String>()).unwrap();
    Allowed::Listed(Arc::new(KeyList::open(&path).unwrap()))
}

#[test]
fn a_listed_key_gets_in_and_another_is_refused_for_good() {
    let scratch = Scratch::new();
    let (ours, known, unknown) =
        (KeyPair::generate().unwrap(), KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut broker = secured(&ours, list_of(&scratch, &[&known]));
    let address = broker.endpoints()[0].clone();

    let mut stranger = dealer_with(&address, &ours.public, &unknown);
    let refused = failure(&mut stranger, "refuses our key");
    assert!(refused.is_permanent);
    assert!(refused.text.contains(unknown.public.as_str()), "{refused:?}");
    assert!(broker.refused() > 0);

    let mut peer = dealer_with(&address, &ours.public, &known);
    connected(&mut peer);
    peer.send(&one("hello")).unwrap();
    let (id, frames, identity) = packet(&mut broker);
    assert_eq!(frames, one("hello"));
    assert_eq!(identity.unwrap().owner, Some(format!("key:{}", known.public)));
    broker.send(id, &one("welcome")).unwrap();
    assert_eq!(next_from_broker(&mut peer), FromBroker::Packet(one("welcome")));

    // The list is a file; a key added to it gets in without a restart.
    let list = format!("{}\n{} the stranger\n", known.public, unknown.public);
    std::fs::write(scratch.0.join("clients"), list).unwrap();
    stranger.reconnect().unwrap();
    connected(&mut stranger);
}

#[test]
fn an_empty_list_lets_nobody_in_and_anyone_means_anyone() {
    let scratch = Scratch::new();
    let (ours, theirs) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let closed = secured(&ours, list_of(&scratch, &[]));
    failure(&mut dealer_with(&closed.endpoints()[0].clone(), &ours.public, &theirs), "refuses our key");
    let open = secured(&ours, Allowed::Anyone);
    connected(&mut dealer_with(&open.endpoints()[0].clone(), &ours.public, &theirs));
}

#[test]
fn keys_that_do_not_fit_are_explained() {
    let (ours, theirs, wrong) =
        (KeyPair::generate().unwrap(), KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let broker = secured(&ours, Allowed::Anyone);
    let address = broker.endpoints()[0].clone();
    let plain = failure(&mut dealer(&address), "encrypted connections only");
    assert!(plain.is_permanent);
    let mut mistaken = dealer_with(&address, &wrong.public, &theirs);
    assert!(!failure(&mut mistaken, "is the broker key its public key?").is_permanent);

    let unsecured = router(&bind_side("tcp://127.0.0.1:*"));
    let mut secretive = dealer_with(&unsecured.endpoints()[0].clone(), &ours.public, &theirs);
    assert!(failure(&mut secretive, "takes no encrypted connections").is_permanent);
}

/// Keys are for TCP; ipc is guarded by the file system and stays plain, for the same options.
#[test]
fn keys_leave_ipc_alone() {
    let scratch = Scratch::new();
    let ours = KeyPair::generate().unwrap();
    let options = RouterOptions {
        curve: Some(ServerCurve { keys: ours.clone(), allowed: list_of(&scratch, &[]) }),
        ..RouterOptions::default()
    };
    let broker = Router::bind(&[bind_side("tcp://127.0.0.1:*"), scratch.ipc()], &options).unwrap();
    connected(&mut dealer(&scratch.ipc().to_string()));
    connected(&mut dealer_with(&scratch.ipc().to_string(), &ours.public, &ours));
    failure(&mut dealer(&broker.endpoints()[0].clone()), "encrypted connections only");
}

/// Two brokers in one process share libzmq's one authenticator, each with its own list.
#[test]
fn two_brokers_in_one_process_judge_by_their_own_lists() {
    let (one_list, other_list) = (Scratch::new(), Scratch::new());
    let (ours, ann, bob) =
        (KeyPair::generate().unwrap(), KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let for_ann = secured(&ours, list_of(&one_list, &[&ann]));
    let for_bob = secured(&ours, list_of(&other_list, &[&bob]));
    let (ann_address, bob_address) = (for_ann.endpoints()[0].clone(), for_bob.endpoints()[0].clone());
    connected(&mut dealer_with(&ann_address, &ours.public, &ann));
    failure(&mut dealer_with(&ann_address, &ours.public, &bob), "refuses our key");
    drop(for_ann);
    connected(&mut dealer_with(&bob_address, &ours.public, &bob));
    failure(&mut dealer_with(&bob_address, &ours.public, &ann), "refuses our key");
}
