//! The situations that have a name, each as a short story.

mod model;

use std::time::Duration;

use headcount_supervisor::{Action, Event, Outcome, Reason, Settings, Signal, Urgency};
use model::{Model, Spawning, id, ms};

fn pool(desired: u32) -> Model {
    Model::new(Settings::default(), desired)
}

fn ready_pool(desired: u32) -> Model {
    let mut model = pool(desired);
    for slot in 0..desired {
        model.ready(id(slot, 1));
    }
    model.take();
    model
}

fn signal(slot: u32, generation: u32, signal: Signal, reason: Reason) -> Action {
    Action::Signal { worker: id(slot, generation), signal, reason }
}

fn terminate(slot: u32, reason: Reason) -> Action {
    signal(slot, 1, Signal::Terminate, reason)
}

#[test]
fn starts_as_many_as_are_wanted_and_says_when_they_are_up() {
    let mut model = pool(2);
    assert_eq!(model.take(), [Action::Spawn(id(0, 1)), Action::Spawn(id(1, 1))]);
    model.ready(id(1, 1));
    assert_eq!(model.take(), [Action::Ready(id(1, 1))]);
    model.ready(id(0, 1));
    assert_eq!(model.take(), [Action::Ready(id(0, 1)), Action::PoolUp]);
}

#[test]
fn a_worker_that_never_speaks_is_ready_after_a_second() {
    let mut model = pool(1);
    model.take();
    model.pass(ms(999));
    assert_eq!(model.take(), []);
    model.pass(ms(1));
    assert_eq!(model.take(), [Action::Ready(id(0, 1)), Action::PoolUp]);
    assert_eq!(model.machine.poll_timeout(), None, "an idle pool needs no timer");
}

#[test]
fn a_worker_that_speaks_is_waited_for_until_boot_timeout() {
    let mut model = pool(1);
    model.tell(Event::Spoke(id(0, 1)));
    model.take();
    model.pass(Duration::from_secs(59));
    assert_eq!(model.take(), []);
    model.pass(Duration::from_secs(1));
    assert_eq!(model.take(), [signal(0, 1, Signal::Kill, Reason::BootTimeout)]);
}

#[test]
fn a_pool_whose_workers_announce_themselves_presumes_nothing() {
    let mut model = pool(2);
    model.ready(id(0, 1));
    model.take();
    model.pass(Duration::from_secs(30));
    assert_eq!(model.ready_workers(), 1);
    model.ready(id(1, 1));
    assert_eq!(model.take(), [Action::Ready(id(1, 1)), Action::PoolUp]);
}

#[test]
fn what_nobody_said_proves_nothing() {
    let mut model = pool(1);
    model.tell(Event::Ready(id(7, 7)));
    model.pass(ms(1_000));
    assert_eq!(model.ready_workers(), 1, "the worker itself has never spoken");
}

#[test]
fn a_lone_crash_is_replaced_at_once_and_a_crash_loop_backs_off() {
    let mut model = ready_pool(1);
    let mut pauses = Vec::new();
    for _ in 0..5 {
        model.exit(id(0, 1));
        let pause = model.take().into_iter().find_map(|action| match action {
            Action::Replace { after, .. } => Some(after),
            _ => None,
        });
        let pause = pause.expect("a crash is answered");
        pauses.push(pause.as_millis());
        model.pass(pause);
        model.ready(id(0, 1));
    }
    assert_eq!(pauses, [0, 100, 200, 400, 800]);
    model.pass(Duration::from_secs(10));
    model.take();
    model.exit(id(0, 1));
    let clean = Action::Replace { worker: id(0, 1), after: Duration::ZERO };
    assert_eq!(model.take(), [clean, Action::Spawn(id(0, 1))], "10 s of life clean the slate");
}

#[test]
fn a_pool_that_never_gets_up_gives_up() {
    let mut model = pool(2);
    for attempt in 0..3 {
        model.exit(id(0, 1));
        assert_eq!(model.ended, None, "attempt {attempt} of slot 1 is still to come");
        model.exit(id(1, 1));
        model.pass(ms(400));
    }
    assert_eq!(model.ended, Some(Outcome::BootFailed));
}

#[test]
fn one_worker_that_gets_up_saves_the_pool() {
    let mut model = pool(2);
    model.ready(id(1, 1));
    for _ in 0..20 {
        model.exit(id(0, 1));
        model.pass(Duration::from_secs(10));
    }
    assert_eq!(model.ended, None);
    assert_eq!(model.running(), [id(0, 1), id(1, 1)]);
}

/// Each worker gets up, and crashes two seconds later.
fn crash_for(model: &mut Model, time: Duration) {
    let end = model.now.saturating_add(time);
    while model.now < end && model.ended.is_none() {
        for id in model.running() {
            model.ready(id);
        }
        model.pass(Duration::from_secs(2));
        for id in model.running() {
            if model.ended.is_none() {
                model.exit(id);
            }
        }
        model.pass(ms(500));
    }
}

#[test]
fn a_crash_loop_ends_after_its_window() {
    let mut model = ready_pool(2);
    crash_for(&mut model, Duration::from_secs(50));
    assert_eq!(model.ended, None);
    crash_for(&mut model, Duration::from_secs(12));
    assert_eq!(model.ended, Some(Outcome::CrashLoop));
}

#[test]
fn one_steady_worker_makes_it_no_crash_loop() {
    let mut model = ready_pool(2);
    for _ in 0..40 {
        model.pass(Duration::from_secs(9));
        if model.running().contains(&id(1, 1)) {
            model.exit(id(1, 1));
        }
    }
    assert_eq!(model.ended, None);
    model.pass(Duration::from_secs(10));
    model.ready(id(1, 1));
    model.pass(Duration::from_secs(60));
    assert_eq!(model.machine.poll_timeout(), None, "all is well again, and nothing is to be done");
}

#[test]
fn a_slow_boot_after_one_crash_is_no_crash_loop() {
    let mut model = ready_pool(2);
    model.pass(Duration::from_secs(3_600));
    for slot in 0..2 {
        model.exit(id(slot, 1));
    }
    model.pass(Duration::from_secs(59));
    assert_eq!(model.ended, None);
}

#[test]
fn a_pool_may_be_told_never_to_give_up() {
    let mut model = Model::new(Settings { crash_window: None, ..Settings::default() }, 1);
    model.ready(id(0, 1));
    crash_for(&mut model, Duration::from_secs(300));
    assert_eq!(model.ended, None);
}

#[test]
fn a_command_that_does_not_exist_is_not_tried_twice() {
    let mut model = pool(3);
    for id in model.running() {
        model.exit(id);
    }
    model.take();
    model.spawning = Spawning::Fails { permanent: true };
    model.pass(ms(100));
    assert_eq!(model.ended, Some(Outcome::BootFailed));
}

#[test]
fn a_spawn_that_fails_later_is_tried_again() {
    let mut model = ready_pool(2);
    model.spawning = Spawning::Fails { permanent: true };
    model.exit(id(0, 1));
    model.pass(Duration::from_secs(60));
    assert_eq!(model.ended, None);
    model.spawning = Spawning::Works;
    model.pass(Duration::from_secs(10));
    assert_eq!(model.running(), [id(0, 1), id(1, 1)]);
}

#[test]
fn stop_lets_workers_finish_and_kills_the_rest() {
    let mut model = ready_pool(2);
    model.tell(Event::Stop(Urgency::Graceful));
    assert_eq!(model.take(), [terminate(0, Reason::Stop), terminate(1, Reason::Stop)]);
    model.exit(id(0, 1));
    model.pass(Duration::from_secs(29));
    assert_eq!(model.take(), [], "no replacement, no hurry");
    model.pass(Duration::from_secs(1));
    assert_eq!(model.take(), [signal(1, 1, Signal::Kill, Reason::GraceOver)]);
    model.exit(id(1, 1));
    assert_eq!(model.take(), [Action::Exit(Outcome::Stopped)]);
}

#[test]
fn a_second_term_changes_nothing_and_int_hurries() {
    let mut model = ready_pool(1);
    model.tell(Event::Stop(Urgency::Graceful));
    model.tell(Event::Stop(Urgency::Graceful));
    assert_eq!(model.take(), [terminate(0, Reason::Stop)]);
    model.tell(Event::Stop(Urgency::Quick));
    model.pass(Duration::from_secs(1));
    assert_eq!(model.take(), [signal(0, 1, Signal::Kill, Reason::GraceOver)]);
}

#[test]
fn a_stop_during_backoff_ends_at_once() {
    let mut model = pool(1);
    model.exit(id(0, 1));
    model.take();
    model.tell(Event::Stop(Urgency::Graceful));
    assert_eq!(model.take(), [Action::Exit(Outcome::Stopped)]);
}

#[test]
fn drain_delay_serves_on_and_replaces_what_crashes() {
    let delay = Duration::from_secs(5);
    let mut model = Model::new(Settings { drain_delay: delay, ..Settings::default() }, 1);
    model.ready(id(0, 1));
    model.tell(Event::Stop(Urgency::Graceful));
    model.take();
    model.pass(Duration::from_secs(3));
    model.exit(id(0, 1));
    assert!(model.take().contains(&Action::Spawn(id(0, 1))));
    model.pass(Duration::from_secs(2));
    assert!(model.take().contains(&terminate(0, Reason::Stop)));
}

#[test]
fn a_smaller_pool_drains_its_youngest_and_a_larger_one_grows_at_once() {
    let mut model = ready_pool(3);
    model.tell(Event::Resize(2));
    assert_eq!(model.take(), [terminate(2, Reason::Resize)]);
    model.exit(id(2, 1));
    assert_eq!(model.running(), [id(0, 1), id(1, 1)]);
    model.tell(Event::Resize(4));
    assert_eq!(model.take(), [Action::Spawn(id(2, 1)), Action::Spawn(id(3, 1))]);
}

#[test]
fn a_slot_that_is_wanted_again_waits_for_its_leaving_worker() {
    let mut model = ready_pool(2);
    model.tell(Event::Resize(1));
    model.tell(Event::Resize(2));
    assert_eq!(model.take(), [terminate(1, Reason::Resize)]);
    model.exit(id(1, 1));
    assert!(model.take().contains(&Action::Spawn(id(1, 1))), "gone, and wanted again");
}

#[test]
fn nought_workers_is_a_pool_that_waits() {
    let mut model = ready_pool(2);
    model.tell(Event::Resize(0));
    model.exit(id(0, 1));
    model.exit(id(1, 1));
    assert_eq!(model.ended, None);
    model.tell(Event::Resize(1));
    assert_eq!(model.running(), [id(0, 1)]);
}

#[test]
fn only_a_worker_that_has_beaten_is_held_to_it() {
    let mut model = ready_pool(2);
    model.tell(Event::Heartbeat(id(1, 1)));
    model.pass(Duration::from_secs(100));
    model.tell(Event::Heartbeat(id(1, 1)));
    model.pass(Duration::from_secs(119));
    assert_eq!(model.take(), []);
    model.pass(Duration::from_secs(1));
    let silent = Reason::Silent(Duration::from_secs(120));
    assert_eq!(model.take(), [signal(1, 1, Signal::Abort, silent)]);
    model.pass(Duration::from_secs(2));
    assert_eq!(model.take(), [signal(1, 1, Signal::Kill, Reason::AbortIgnored)]);
    model.exit(id(1, 1));
    assert!(model.take().contains(&Action::Spawn(id(1, 1))));
}

#[test]
fn a_restart_starts_each_successor_first() {
    let mut model = ready_pool(2);
    model.tell(Event::Restart);
    assert_eq!(model.take(), [Action::Spawn(id(0, 2))]);
    model.ready(id(0, 2));
    assert_eq!(model.take(), [Action::Ready(id(0, 2)), terminate(0, Reason::Restart)]);
    model.exit(id(0, 1));
    assert_eq!(model.take(), [Action::Spawn(id(1, 2))]);
    model.ready(id(1, 2));
    model.exit(id(1, 1));
    assert!(model.take().contains(&Action::RestartDone(2)));
    assert_eq!(model.running(), [id(0, 2), id(1, 2)]);
    model.tell(Event::Resize(3));
    assert_eq!(model.take(), [Action::Spawn(id(2, 2))], "new slots are of the new generation");
}

#[test]
fn a_restart_whose_successor_fails_leaves_the_old_ones_alone() {
    let mut model = ready_pool(2);
    model.tell(Event::Restart);
    model.ready(id(0, 2));
    model.exit(id(0, 1));
    model.take();
    model.exit(id(1, 2));
    assert_eq!(model.take(), [Action::RestartFailed(id(1, 2))]);
    assert_eq!(model.running(), [id(0, 2), id(1, 1)]);
    model.tell(Event::Restart);
    assert_eq!(model.take(), [Action::Spawn(id(0, 3))], "a generation is never used twice");
}

#[test]
fn a_newer_restart_overtakes_one_that_hangs() {
    let mut model = ready_pool(1);
    model.tell(Event::Restart);
    model.tell(Event::Restart);
    model.exit(id(0, 2));
    model.take();
    model.pass(ms(0));
    assert_eq!(model.running(), [id(0, 1), id(0, 3)]);
    model.ready(id(0, 3));
    model.exit(id(0, 1));
    assert_eq!(model.running(), [id(0, 3)]);
    assert!(model.take().contains(&Action::RestartDone(3)));
}

#[test]
fn a_restart_with_a_broken_command_does_not_end_the_pool() {
    let mut model = pool(1);
    model.spawning = Spawning::Fails { permanent: true };
    model.tell(Event::Restart);
    assert_eq!(model.ended, None);
    assert_eq!(model.running(), [id(0, 1)]);
}

#[test]
fn a_stop_in_the_middle_of_a_restart_ends_both_generations() {
    let mut model = ready_pool(2);
    model.tell(Event::Restart);
    model.take();
    model.tell(Event::Stop(Urgency::Graceful));
    assert_eq!(
        model.take(),
        [
            terminate(0, Reason::Stop),
            signal(0, 2, Signal::Terminate, Reason::Stop),
            terminate(1, Reason::Stop),
        ]
    );
    assert_eq!(model.end(), Outcome::Stopped);
}
