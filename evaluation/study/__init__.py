"""The human study's numbers: the table of ratings, its planned analysis, the report, planning and simulated raters."""
