# Hooks into imports and the end of modules, which the next program would run through.
# expect: reply honest
# off: none, the next program is another process
import builtins, sys

class Hook:
    def find_spec(self, name, path=None, target=None):
        raise SystemExit(1)

sys.meta_path.insert(0, Hook())
sys.path_hooks.insert(0, lambda path: 1 / 0)
builtins.__import__ = lambda *arguments, **named: 1 / 0
reply("honest")
