"""What people do: review drafted safety data, compare answers without knowing whose they are, and the pages
for both.
"""
