# answer: [["who", "amount"], 40.5, ["Sheet1"]]
import pandas as pd

frame = pd.DataFrame({"who": ["ana", "bo"], "amount": [10.5, 30.0]})
frame.to_excel("book.xlsx", index=False)
book = pd.ExcelFile("book.xlsx")
again = book.parse("Sheet1")
reply([again.columns.tolist(), float(again.amount.sum()), book.sheet_names])
