"""What people draw on photographs with annotation tools, in the files that the tools write.

Every module reads one format into `photograph.AnnotatedPhotograph`s; `annotation_formats` lists them;
`rasterization` turns a photograph's objects into maps of classes and instances, in the same way for all formats.
"""
