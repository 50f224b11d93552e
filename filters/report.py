def write_report(output, manifest):
    (output / "report.html").write_text("todo")
