//! Installing the runtime: broken off, at once with others, on a full disk, from a false or a missing index. With packages
//! of a test's own, each a few bytes, and an index of its own; everything else is what is shipped.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and installers live in real time"
)]

#[path = "common/dice.rs"]
mod dice;
mod packages;

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use dice::Dice;
use meterbox_local_sandbox::{
    LocalSandbox,
    runtime::{InstallOptions, Packages, Runtime, RuntimeError},
};
use packages::{BASE, Ended, FULL, Installer, World};

#[test]
fn an_installation_that_is_killed_is_never_used_and_goes_on_where_it_ended() {
    const KILLS: usize = 5;
    // Slow enough to be killed while it downloads.
    let world = World::new(Duration::from_millis(60));
    let list = world.list();
    let mut dice = Dice::new();
    let seed = dice.seed;
    let mut longest = 6_000;
    for round in 0..KILLS {
        let mut installer = world.installer(Packages::Full).start();
        std::thread::sleep(Duration::from_millis(dice.below(longest) as u64));
        if installer.has_ended() {
            // It was done before: the next rounds look for earlier moments.
            assert!(list.locate(&world.folder).unwrap().is_some(), "seed {seed}");
            longest = longest * 2 / 3;
            Runtime::remove(&world.folder).unwrap();
            world.index.forget();
            continue;
        }
        installer.kill();
        // Half of it is as good as nothing, and no damage either.
        let found = list.locate(&world.folder);
        assert!(
            matches!(&found, Ok(None)),
            "seed {seed}, round {round}: {found:?}"
        );
    }
    let before = world.index.served();
    assert_eq!(
        world.installer(Packages::Full).run(),
        Ended::Installed,
        "seed {seed}"
    );
    let runtime = list.locate(&world.folder).unwrap().unwrap();
    assert_eq!(world.imports(&runtime, "few, some"), "few some");
    // Each kill costs what was being fetched then: one batch at most.
    let (all, batch) = (BASE.len() + FULL.len(), 4);
    let served = world.index.served();
    assert!(
        served <= all + KILLS * batch && served - before <= all,
        "{served} downloads of {all} wheels, seed {seed}"
    );
    let left: Vec<_> = fs::read_dir(&world.folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "install.lock" && !runtime.venv.parent().unwrap().ends_with(name))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_was_downloaded_is_not_downloaded_again() {
    let world = World::new(Duration::from_millis(150));
    let mut installer = world.installer(Packages::Full).start();
    // The second batch has begun, so the first one is there.
    let begun = Instant::now();
    while world.index.served() < 5 {
        assert!(begun.elapsed() < Duration::from_secs(120) && !installer.has_ended());
        std::thread::sleep(Duration::from_millis(5));
    }
    installer.kill();
    let first: Vec<String> = world.index.names().into_iter().take(4).collect();
    assert_eq!(world.installer(Packages::Full).run(), Ended::Installed);
    let again = world.index.names();
    for name in first {
        let times = again.iter().filter(|other| **other == name).count();
        assert_eq!(times, 1, "{name} in {again:?}");
    }
}

#[test]
fn of_two_at_once_one_waits_and_finds_it_done() {
    let world = World::new(Duration::from_millis(20));
    let installers =
        [Packages::Full, Packages::Full, Packages::Base].map(|packages| world.installer(packages).start());
    let said: Vec<String> = installers
        .into_iter()
        .map(|installer| {
            let (ended, said) = installer.end();
            assert_eq!(ended, Ended::Installed, "{said}");
            said
        })
        .collect();
    let waited = said
        .iter()
        .filter(|said| said.contains("waiting for another installation"));
    assert!(waited.count() >= 2, "{said:#?}");
    let mut names = world.index.names();
    names.sort();
    let all = names.len();
    names.dedup();
    // The base list has some of the same wheels, where it came first.
    assert!(all <= names.len() + BASE.len(), "{names:?}");
    let runtime = world.list().locate(&world.folder).unwrap().unwrap();
    assert_eq!(runtime.list, Packages::Full);
}

#[test]
fn who_waits_for_an_installer_that_is_killed_does_the_rest() {
    let world = World::new(Duration::from_millis(100));
    let first = world.installer(Packages::Base).start();
    let begun = Instant::now();
    while world.index.served() < 1 {
        assert!(begun.elapsed() < Duration::from_secs(120));
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut second = world.installer(Packages::Base).start();
    second.says("waiting for another installation");
    first.kill();
    let (ended, said) = second.end();
    assert_eq!(ended, Ended::Installed, "{said}");
    assert!(world.list().locate(&world.folder).unwrap().is_some());
}

#[test]
fn the_full_list_comes_beside_the_base_list_while_that_is_in_use() {
    let world = World::new(Duration::ZERO);
    let list = world.list();
    assert_eq!(world.installer(Packages::Base).run(), Ended::Installed);
    let base = list.locate(&world.folder).unwrap().unwrap();
    assert_eq!(base.list, Packages::Base);
    assert!(!base.packages.contains_key("some"));
    // As a server that imports something late.
    let mut user = Command::new(&base.python)
        .args([
            "-I",
            "-c",
            "input(); import few, less; print(few.__name__, less.__name__)",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    assert_eq!(world.installer(Packages::Full).run(), Ended::Installed);
    let full = list.locate(&world.folder).unwrap().unwrap();
    assert_eq!(full.list, Packages::Full);
    assert!(full.packages.contains_key("some") && full.packages.contains_key("few"));
    assert_ne!(full.venv, base.venv);
    user.stdin.take().unwrap().write_all(b"\n").unwrap();
    let said = user.wait_with_output().unwrap().stdout;
    assert_eq!(String::from_utf8(said).unwrap(), "few less\n");
    assert_eq!(world.imports(&base, "few"), "few");
    assert_eq!(world.imports(&full, "few, some"), "few some");
    // Asked for less, it is what is there.
    let downloads = world.index.served();
    assert_eq!(world.installer(Packages::Base).run(), Ended::Installed);
    assert_eq!(list.locate(&world.folder).unwrap(), Some(full));
    assert_eq!(world.index.served(), downloads);
}

#[test]
fn old_runtimes_are_removed_when_nobody_uses_them() {
    let world = World::new(Duration::ZERO);
    let list = world.list();
    assert_eq!(world.installer(Packages::Base).run(), Ended::Installed);
    let base = list.locate(&world.folder).unwrap().unwrap();
    let home = base.venv.parent().unwrap().to_owned();
    assert_eq!(list.old(&world.folder).unwrap(), [], "it is the one");
    assert_eq!(world.installer(Packages::Full).run(), Ended::Installed);
    let full = list.locate(&world.folder).unwrap().unwrap();
    let strangers = world.folder.join("base-3.11-of-somebody");
    fs::create_dir(&strangers).unwrap();

    let user = LocalSandbox::builder(base).build().unwrap();
    for found in [list.old(&world.folder), list.remove_old(&world.folder)] {
        let found = found.unwrap();
        assert_eq!(found.len(), 1);
        assert!(
            found[0].home == home && found[0].in_use && found[0].bytes > 0,
            "{found:?}"
        );
    }
    assert!(home.exists());
    drop(user);
    let removed = list.remove_old(&world.folder).unwrap();
    assert!(removed.len() == 1 && !removed[0].in_use, "{removed:?}");
    assert!(!home.exists() && strangers.exists());
    assert_eq!(list.old(&world.folder).unwrap(), []);
    assert_eq!(list.locate(&world.folder).unwrap(), Some(full));
}

#[test]
fn a_damaged_runtime_is_refused_by_name_and_mended() {
    let world = World::new(Duration::ZERO);
    let list = world.list();
    assert_eq!(world.installer(Packages::Full).run(), Ended::Installed);
    let runtime = list.locate(&world.folder).unwrap().unwrap();
    let module = world.module(&runtime, "few");
    fs::remove_file(&module).unwrap();
    let refused = list.locate(&world.folder).unwrap_err();
    let said = refused.to_string();
    assert!(matches!(refused, RuntimeError::Damaged { .. }), "{said}");
    assert!(
        said.contains("1 of its") && said.contains("run `meterbox runtime install --full`"),
        "{said}"
    );
    assert_eq!(world.installer(Packages::Full).run(), Ended::Installed);
    assert_eq!(list.locate(&world.folder).unwrap(), Some(runtime.clone()));
    assert!(module.exists());
    assert_eq!(world.imports(&runtime, "few"), "few");
    fs::write(&module, "# longer than it was, and not what was locked").unwrap();
    let said = list.locate(&world.folder).unwrap_err().to_string();
    assert!(said.contains("not the ones that were installed"), "{said}");
}

#[test]
fn a_package_that_is_not_the_locked_one_is_refused() {
    let world = World::new(Duration::ZERO);
    assert_eq!(world.installer(Packages::Base).run(), Ended::Installed);
    let base = world.list().locate(&world.folder).unwrap();
    world.index.alter("some");
    for wheelhouse in [false, true] {
        let installer = world.installer(Packages::Full);
        let installer = if wheelhouse {
            installer.offline()
        } else {
            installer
        };
        let (ended, said) = installer.start().end();
        assert_eq!(ended, Ended::Refused("Altered".to_owned()), "{said}");
        assert!(said.contains("some"), "{said}");
        assert_eq!(
            world.list().locate(&world.folder).unwrap(),
            base,
            "wheelhouse: {wheelhouse}"
        );
    }
}

#[test]
fn without_a_network_that_is_what_is_said_and_a_wheelhouse_serves() {
    let world = World::new(Duration::ZERO);
    let (ended, said) = world.installer(Packages::Base).without_network().start().end();
    assert_eq!(ended, Ended::Refused("Network".to_owned()), "{said}");
    assert!(
        said.contains("--wheelhouse DIR") && said.contains("check the network"),
        "{said}"
    );
    assert_eq!(world.list().locate(&world.folder).unwrap(), None);
    let offline = world.installer(Packages::Base).without_network().offline();
    assert_eq!(offline.run(), Ended::Installed);
    assert_eq!(world.index.served(), 0);
}

#[test]
fn too_little_room_is_said_before_anything_is_begun() {
    let world = World::new(Duration::ZERO);
    let list = world.list_that_needs(u64::MAX / 2);
    let options = InstallOptions {
        search_path: std::env::var_os("PATH").unwrap(),
        ..InstallOptions::default()
    };
    let refused = list.install(&world.folder, &options, &mut |_| ()).unwrap_err();
    assert!(
        matches!(refused, RuntimeError::NoRoom { needed: Some(_), free, .. } if free > 0),
        "{refused}"
    );
    assert_eq!(world.index.served(), 0);
}

/// On a small disk of its own, which only root can make.
#[test]
fn a_disk_that_fills_up_harms_nothing_that_is_there() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let world = World::new(Duration::ZERO);
    let base = world.installer(Packages::Base);
    // Room for the base list and the heavy wheel of the full list, but not for two of that.
    let script = "mount -t tmpfs -o size=14m tmpfs \"$FOLDER\"\n\
                  \"$SELF\" --exact installer --nocapture && INSTALL_PACKAGES=full \"$SELF\" --exact installer --nocapture; \
                  echo \"full: $?\"; \"$SELF\" --exact installer --nocapture; echo \"base: $?\"; ls \"$FOLDER\"";
    let ran = base.command_under(script).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(said.contains("refused: NoRoom"), "{said}");
    assert!(said.contains("full: 101") && said.contains("base: 0"), "{said}");
    // What the base list needs is whole, and nothing half is left.
    assert!(!said.contains(".new"), "{said}");
}

/// The process that another test starts, and kills.
#[test]
fn installer() {
    let Some(order) = Installer::ordered() else { return };
    order.obey();
}

#[test]
fn a_folder_that_is_being_installed_into_is_not_removed() {
    let world = World::new(Duration::from_millis(100));
    let mut installer = world.installer(Packages::Base).start();
    installer.says("downloading");
    let refused = Runtime::remove(&world.folder).unwrap_err();
    assert!(matches!(refused, RuntimeError::Busy { .. }), "{refused}");
    assert_eq!(installer.end().0, Ended::Installed);
    assert!(Runtime::remove(&world.folder).unwrap());
    assert!(!Runtime::remove(&world.folder).unwrap());
}
