//! Every event in every order, in virtual time. The model checks after each action that nothing runs
//! twice, that nothing is signalled that does not run, and that nothing is left when it ends.

mod model;

use std::time::Duration;

use headcount_supervisor::{Action, Event, Outcome, Settings, Urgency, WorkerId};
use model::{Model, Spawning, id};
use proptest::prelude::*;

/// One step; `Pick` chooses among the processes that run.
#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Ready(prop::sample::Index),
    Beat(prop::sample::Index),
    Spoke(prop::sample::Index),
    Exit(prop::sample::Index),
    Stale(u32, u32),
    Resize(u32),
    Restart,
    Stop(Urgency),
    Spawning(Spawning),
}

fn step() -> impl Strategy<Value = Step> {
    let pick = any::<prop::sample::Index>;
    prop_oneof![
        8 => (0_u64..3_000).prop_map(Step::Pass),
        2 => (3_000_u64..150_000).prop_map(Step::Pass),
        8 => pick().prop_map(Step::Ready),
        3 => pick().prop_map(Step::Beat),
        1 => pick().prop_map(Step::Spoke),
        8 => pick().prop_map(Step::Exit),
        1 => (0_u32..6, 0_u32..4).prop_map(|(slot, generation)| Step::Stale(slot, generation)),
        3 => (0_u32..7).prop_map(Step::Resize),
        3 => Just(Step::Restart),
        2 => Just(Step::Spawning(Spawning::Works)),
        1 => any::<bool>().prop_map(|permanent| Step::Spawning(Spawning::Fails { permanent })),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let stop = prop_oneof![Just(Urgency::Graceful), Just(Urgency::Quick)].prop_map(Step::Stop);
    let body = prop::collection::vec(step(), 1..250);
    let tail = prop::collection::vec(prop_oneof![9 => step(), 1 => stop], 0..60);
    (body, tail).prop_map(|(body, tail)| [body, tail].concat())
}

fn settings() -> impl Strategy<Value = Settings> {
    (any::<bool>(), any::<bool>()).prop_map(|(delay, timeout)| Settings {
        drain_delay: Duration::from_secs(if delay { 5 } else { 0 }),
        timeout: timeout.then_some(Duration::from_secs(120)),
        ..Settings::default()
    })
}

fn with(id: Option<WorkerId>, act: impl FnOnce(WorkerId)) {
    if let Some(id) = id {
        act(id);
    }
}

fn take_step(model: &mut Model, step: &Step) {
    let running = model.running();
    let pick = |index: &prop::sample::Index| -> Option<WorkerId> {
        (!running.is_empty()).then(|| *index.get(&running))
    };
    match step {
        Step::Pass(time) => model.pass(Duration::from_millis(*time)),
        Step::Ready(index) => with(pick(index), |id| model.ready(id)),
        Step::Beat(index) => with(pick(index), |id| model.tell(Event::Heartbeat(id))),
        Step::Spoke(index) => with(pick(index), |id| model.tell(Event::Spoke(id))),
        Step::Exit(index) => with(pick(index), |id| model.exit(id)),
        Step::Stale(slot, generation) => {
            let stale = id(*slot, *generation);
            if !running.contains(&stale) {
                for event in [
                    Event::Ready(stale),
                    Event::Heartbeat(stale),
                    Event::Spoke(stale),
                    Event::Exited(stale),
                    Event::Spawned(stale),
                    Event::SpawnFailed { worker: stale, permanent: true },
                ] {
                    model.tell(event);
                }
            }
        }
        Step::Resize(desired) => model.tell(Event::Resize(*desired)),
        Step::Restart => model.tell(Event::Restart),
        Step::Stop(urgency) => model.tell(Event::Stop(*urgency)),
        Step::Spawning(spawning) => model.spawning = *spawning,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    /// About 155,000 steps: 1,000 sequences of 155 on average.
    #[test]
    fn nothing_is_lost_and_everything_ends(
        settings in settings(),
        desired in 0_u32..6,
        steps in steps(),
    ) {
        let mut model = Model::new(settings, desired);
        for step in &steps {
            if model.ended.is_some() {
                break;
            }
            take_step(&mut model, step);
        }
        if model.ended.is_none() {
            model.end();
        }
    }

    /// Whatever has happened: when spawns work and workers get ready, the pool comes to rest with
    /// every slot served, a restart that ran included. (Or it has ended, if none ever got up.)
    #[test]
    fn a_pool_that_is_left_alone_comes_to_rest(desired in 0_u32..6, steps in steps()) {
        let mut model = Model::new(Settings::default(), desired);
        for step in steps.iter().filter(|step| !matches!(step, Step::Stop(_))) {
            take_step(&mut model, step);
            if model.ended.is_some() {
                return Ok(());
            }
        }
        model.spawning = Spawning::Works;
        for _ in 0..40 {
            for id in model.running() {
                if model.processes[&id].terminated || model.processes[&id].killed {
                    model.exit(id);
                } else {
                    model.ready(id);
                }
            }
            model.pass(Duration::from_secs(12));
        }
        if model.ended.is_some() {
            let was_ready = model.log.iter().any(|(_, action)| matches!(action, Action::Ready(_)));
            let expected =
                if was_ready { Outcome::CrashLoop } else { Outcome::BootFailed };
            prop_assert_eq!(model.ended, Some(expected));
            return Ok(());
        }
        let wanted = usize::try_from(model.machine.desired()).unwrap();
        prop_assert_eq!(model.ready_workers(), wanted);
        prop_assert_eq!(model.processes.len(), wanted);
    }

    /// Without crashes, a rolling restart never costs a ready worker.
    #[test]
    fn a_restart_never_has_fewer_ready_workers_than_wanted(
        desired in 1_u32..6,
        order in prop::collection::vec(any::<prop::sample::Index>(), 200),
    ) {
        let mut model = Model::new(Settings::default(), desired);
        for id in model.running() {
            model.ready(id);
        }
        model.tell(Event::Restart);
        for index in &order {
            let id = *index.get(&model.running());
            if model.processes[&id].terminated {
                model.exit(id);
            } else {
                model.ready(id);
            }
            prop_assert!(model.ready_workers() >= usize::try_from(desired).unwrap());
        }
        prop_assert!(model.take().contains(&Action::RestartDone(2)));
    }
}
