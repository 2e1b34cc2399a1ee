# answer: ["Sales", 3, "B2"]
from openpyxl import Workbook, load_workbook
from openpyxl.chart import BarChart, Reference
from openpyxl.styles import Font

book = Workbook()
sheet = book.active
sheet.title = "Sales"
sheet.append(["month", "total"])
sheet.append(["Jan", 3])
sheet["A1"].font = Font(bold=True)
chart = BarChart()
chart.add_data(Reference(sheet, min_col=2, min_row=1, max_row=2), titles_from_data=True)
sheet.add_chart(chart, "D2")
book.save("s.xlsx")
again = load_workbook("s.xlsx")
reply([again.sheetnames[0], again["Sales"]["B2"].value, again["Sales"]["B2"].coordinate])
