# Installs a package, by the interpreter that it is.
# expect: denied
# off: none, there is no pip and no file of an interpreter to start; that nothing can be started is shown elsewhere
import subprocess, sys

worked = []
for command in ([sys.executable, "-m", "pip", "install", "left-pad"], [sys.executable, "-I", "-S", "-c", "print(1)"], ["pip", "--version"]):
    try:
        if subprocess.run(command, capture_output=True, env={}).returncode == 0:
            worked.append(command)
    except OSError:
        pass
try:
    import pip
    worked.append(pip)
except ImportError:
    pass
reply("worked" if worked else "denied")
