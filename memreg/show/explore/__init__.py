"""The registry to look at, click and filter: a local server, and one page of a cell that needs none.

`server`   answers a browser on this machine, and nobody else, from a `desk`
`told`     what a page is told: plain values and columns of numbers
`packed`   columns of numbers as bytes
`example`  what is known of one training example
`tiles`    images of several examples as one picture
`static`   one page that has everything about a cell in it
`assets`   the files of the page
`page/`    what runs in the browser; `vendor/` has d3 and Observable Plot with their licences
"""
