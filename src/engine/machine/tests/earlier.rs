//! What one step's answers do to the others: regressed, excused, and never proven by it.

use super::*;

/// Step 3 asks "shared.before" of step 2 again, and "own.after" as step 1 does.
fn asking_again() -> Machine {
    let line = |check: &str| CheckLine { check: check.into(), level: Level::Required, parameters: toml::Table::new() };
    let mut steps: Vec<Prepared> = StepId::all().map(step).collect();
    for prepared in &mut steps {
        prepared.step.checks = vec![line(&format!("{}.before", prepared.step.id)), line("three.after")];
    }
    steps[1].step.checks.push(line("shared.before"));
    steps[2].step.checks.push(CheckLine { level: Level::Advised, ..line("shared.before") });
    Machine::new("run".into(), steps, Progress::default(), Vec::new())
}

#[test]
fn what_a_later_step_sees_broken_is_regressed_where_it_was_proven() {
    let [first, second, third] = [1, 2, 3].map(|n| StepId::new(n).unwrap());
    let failing = |name: &'static str| {
        move |id: &CheckId| if id.0 == name { CheckOutcome::fail("404", "add it") } else { CheckOutcome::Pass }
    };
    for (name, states) in [
        ("shared.before", [StepState::Proven, StepState::Regressed]),
        // Other users, another ramp: it says nothing of the steps below.
        ("three.after", [StepState::Proven, StepState::Proven]),
        ("3.before", [StepState::Proven, StepState::Proven]),
    ] {
        let mut machine = asking_again();
        play(&mut machine, first, &|_| CheckOutcome::Pass, good());
        play(&mut machine, second, &|_| CheckOutcome::Pass, good());
        let events = play(&mut machine, third, &failing(name), good());
        assert_eq!([first, second].map(|step| machine.state(step, now(9))), states, "{name}");
        // The step that was asked for is judged last.
        assert!(matches!(events.last().unwrap().kind, EventKind::StepJudged { step, .. } if step == third), "{name}");
        let regressed = &machine.progress().steps[&second];
        assert_eq!(regressed.held_by == ["shared.before: fail, 404"], name == "shared.before");
    }
    // What nobody could look at is not broken.
    let mut machine = asking_again();
    let unknown = |_: &CheckId| CheckOutcome::Unknown(Missing::new("unreachable", "start it"));
    play(&mut machine, first, &|_| CheckOutcome::Pass, good());
    play(&mut machine, second, &|_| CheckOutcome::Pass, good());
    play(&mut machine, third, &unknown, good());
    assert_eq!(machine.state(second, now(9)), StepState::Proven);
}

#[test]
fn what_fails_once_is_asked_again_before_it_breaks_a_proof() {
    let [first, second, third] = [1, 2, 3].map(|n| StepId::new(n).unwrap());
    for (check, failures, asked, state) in [
        ("shared.before", 1, 2, StepState::Proven),
        ("shared.before", 2, 2, StepState::Regressed),
        // Nobody else stands on it.
        ("3.before", 1, 1, StepState::Proven),
    ] {
        let mut machine = asking_again();
        play(&mut machine, first, &|_| CheckOutcome::Pass, good());
        play(&mut machine, second, &|_| CheckOutcome::Pass, good());
        let seen = std::cell::Cell::new(0);
        let say = |id: &CheckId| {
            seen.set(seen.get() + u32::from(id.0 == check));
            let fails = id.0 == check && seen.get() <= failures;
            if fails { CheckOutcome::fail("slow", "look") } else { CheckOutcome::Pass }
        };
        let events = play(&mut machine, third, &say, good());
        assert_eq!((seen.get(), machine.state(second, now(9))), (asked, state), "{check} {failures}");
        assert_eq!(judged(&events).map(StepState::is_done), Some(check == "shared.before" && failures == 1));
    }
}

fn waived(step: StepId, check: Option<&str>) -> Command {
    let check = check.map(CheckId::from);
    Command::Waive(Waiver { step, check, reason: "none here".into(), owner: "me".into(), until: day(now(86_400)) })
}

#[test]
fn what_an_earlier_step_was_excused_from_holds_no_later_one() {
    let [first, second, third] = [1, 2, 3].map(|n| StepId::new(n).unwrap());
    let failed = || CheckOutcome::fail("404", "b");
    let unknown = || CheckOutcome::Unknown(Missing::new("no uploads", "name them"));
    for (answer, waivers, state) in [
        (failed(), vec![waived(second, Some("shared.before"))], StepState::Proven),
        (unknown(), vec![waived(second, Some("shared.before"))], StepState::Proven),
        // Waived as a whole: what cannot be known is not asked again, and what is wrong is wrong.
        (unknown(), vec![waived(second, None)], StepState::Proven),
        (failed(), vec![waived(second, None)], StepState::Held),
        (unknown(), vec![waived(first, None), waived(second, Some("2.before"))], StepState::Held),
        (unknown(), vec![], StepState::Held),
    ] {
        let mut machine = asking_again();
        machine.steps[2].step.checks[2].level = Level::Required;
        play(&mut machine, first, &|_| CheckOutcome::Pass, good());
        play(&mut machine, second, &|_| CheckOutcome::Pass, good());
        for waiver in waivers.clone() {
            machine.on(now(5), Input::Command(waiver));
        }
        let say = |id: &CheckId| if id.0 == "shared.before" { answer.clone() } else { CheckOutcome::Pass };
        let events = play(&mut machine, third, &say, good());
        assert_eq!(judged(&events), Some(state), "{answer:?} {waivers:?}");
        if state == StepState::Proven {
            let said = &machine.progress().steps[&third].sentence;
            assert!(said.contains("with shared.before waived"), "{said}");
            // Looked at again where it is waived, it breaks nothing.
            for step in [second, third] {
                machine.on(now(6), Input::Command(Command::Verify(step)));
                machine.on(now(6), Input::Command(Command::Stop));
                play(&mut machine, step, &say, good());
                assert_ne!(machine.state(third, now(9)), StepState::Regressed, "{answer:?} {waivers:?} at {step}");
            }
        }
    }
}

#[test]
fn a_proof_stands_no_longer_than_the_waivers_that_it_rests_on() {
    let [first, second, third, fourth] = [1, 2, 3, 4].map(|n| StepId::new(n).unwrap());
    let (last, after) = (now(86_400), now(2 * 86_400));
    for (failing, waiver, then) in [
        ("3.before", waived(third, Some("3.before")), StepState::Stale),
        // An earlier step's, which excuses this one as well.
        ("shared.before", waived(second, Some("shared.before")), StepState::Stale),
        // All passed: nothing rests on the signature.
        ("none", waived(third, Some("3.before")), StepState::Proven),
    ] {
        let mut machine = asking_again();
        machine.steps[2].step.checks[2].level = Level::Required;
        play(&mut machine, first, &|_| CheckOutcome::Pass, good());
        play(&mut machine, second, &|_| CheckOutcome::Pass, good());
        machine.on(now(0), Input::Command(waiver.clone()));
        let say = |id: &CheckId| if id.0 == failing { CheckOutcome::fail("404", "b") } else { CheckOutcome::Pass };
        let events = play(&mut machine, third, &say, good());
        assert_eq!(judged(&events), Some(StepState::Proven), "{failing}");
        assert_eq!([third, fourth].map(|step| machine.state(step, last)), [StepState::Proven, StepState::Open]);
        let next = if then == StepState::Proven { StepState::Open } else { StepState::Locked };
        assert_eq!([third, fourth].map(|step| machine.state(step, after)), [then, next], "{failing}");
        // Signed anew, it stands again.
        let Command::Waive(waiver) = waiver else { panic!("no waiver") };
        let longer = Waiver { until: day(now(9 * 86_400)), ..waiver };
        machine.on(after, Input::Command(Command::Waive(longer)));
        assert_eq!(machine.state(third, after), StepState::Proven, "{failing}");
    }
}

#[test]
fn one_signature_for_a_step_is_none_for_those_below_it() {
    let third = StepId::new(3).unwrap();
    for (proven, signed, open) in
        [(&[][..], &[2][..], false), (&[1], &[2], true), (&[], &[1, 2], true), (&[1], &[], false), (&[1, 2], &[], true)]
    {
        let mut machine = machine();
        for number in proven {
            play(&mut machine, StepId::new(*number).unwrap(), &|_| CheckOutcome::Pass, good());
        }
        for number in signed {
            let step = StepId::new(*number).unwrap();
            machine.on(now(4), Input::Command(waived(step, None)));
            assert_eq!(machine.state(step, now(9)), StepState::Waived);
        }
        let told = format!("proven {proven:?}, waived {signed:?}");
        assert_eq!(machine.state(third, now(9)), if open { StepState::Open } else { StepState::Locked }, "{told}");
        let events = play(&mut machine, third, &|_| CheckOutcome::Pass, good());
        assert_eq!(judged(&events), open.then_some(StepState::Proven), "{told}");
    }
}

#[test]
fn a_step_that_shows_an_earlier_one_broken_proves_nothing_itself() {
    let [first, second, third] = [1, 2, 3].map(|n| StepId::new(n).unwrap());
    let mut machine = asking_again();
    machine.steps[2].step.checks[2].level = Level::Required;
    play(&mut machine, first, &|_| CheckOutcome::Pass, good());
    play(&mut machine, second, &|_| CheckOutcome::Pass, good());
    machine.on(now(5), Input::Command(waived(third, Some("shared.before"))));
    let say = |id: &CheckId| if id.0 == "shared.before" { CheckOutcome::fail("404", "b") } else { CheckOutcome::Pass };
    assert_eq!(judged(&play(&mut machine, third, &say, good())), Some(StepState::Held));
    let record = &machine.progress().steps[&second];
    assert_eq!((record.state, record.users), (StepState::Regressed, Some(10)), "with what was last measured");
}
