# DuckDB's extensions, and its readers of addresses.
# expect: denied
# off: none, behind the filter there is still a network without an interface
import duckdb

connection = duckdb.connect(config={"threads": 1})
worked = []
for statement in ("INSTALL httpfs", "LOAD httpfs", "INSTALL spatial FROM community", "LOAD '/scratch/x.duckdb_extension'",
                  f"SELECT * FROM read_csv('http://127.0.0.1:{parameters['port']}/x.csv')",
                  "SELECT * FROM read_parquet('s3://bucket/x.parquet')", "ATTACH 'http://127.0.0.1:1/x.db' AS other",
                  "SET allow_unsigned_extensions=true", "ATTACH 'dbname=x host=127.0.0.1' AS pg (TYPE postgres)"):
    try:
        connection.execute(statement).fetchall()
        worked.append(statement)
    except duckdb.Error as error:
        if not str(error).strip():
            worked.append("an error without words")
reply("worked" if worked else "denied")
