# DuckDB's own ways to files and to the environment.
# expect: denied
# off: guard own-root
import duckdb

connection = duckdb.connect(config={"threads": 1})
worked = []
for statement in ("SELECT content FROM read_text('/etc/passwd')", "SELECT content FROM read_blob('/inputs/canary.csv')",
                  "SELECT * FROM glob('/inputs/*') UNION ALL SELECT * FROM glob('/*/.ssh/*') UNION ALL SELECT * FROM glob('/home/*')",
                  "COPY (SELECT 1) TO '/data/x.csv'", "COPY (SELECT 1) TO '/x.csv'", "EXPORT DATABASE '/data/all'",
                  "SELECT getenv('HOME')", "ATTACH '/inputs/canary.csv' AS other"):
    try:
        found = connection.execute(statement).fetchall()
        if found and found[0][0] not in (None, ""):
            worked.append(statement)
    except duckdb.Error:
        pass
try:
    for (content,) in connection.execute("SELECT content FROM read_text('/proc/self/environ')").fetchall():
        documented = ("HOME=", "JOBLIB_", "LANG=", "TZ=", "MPL", "OMP_", "OPENBLAS_", "JE_ARROW", "MALLOC_ARENA_MAX", "PYTHON", "LC_CTYPE")
        worked += [one for one in content.split("\0") if one and not one.startswith(documented)]
except duckdb.Error:
    pass
reply("worked" if worked else "denied")
