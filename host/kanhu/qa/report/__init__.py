"""The report of a run: run.json (the truth), junit.xml and report.html."""
