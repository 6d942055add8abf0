"""What does it look like? Drawing only: nothing here measures.

matplotlib is loaded when the first picture is drawn, so that training without pictures does not
need it.
"""
