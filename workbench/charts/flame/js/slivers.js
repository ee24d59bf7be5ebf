// Bars too narrow for an edge or a name. Tens of thousands of them are drawn as one line of pixels per row, stretched to its
// height, which is many times faster than as many rectangles.

export const ROW_PX = 18;
export const NARROWEST_PX = 0.3; // below it a bar is not drawn by itself

export class Slivers {
  constructor(canvas, width, rows, ratio, dust) {
    Object.assign(this, { canvas, width, rows, ratio, colourOfDust: packedColour(dust) });
    canvas.width = Math.max(1, width);
    canvas.height = Math.max(1, rows);
    this.context = canvas.getContext("2d");
    this.image = this.context.createImageData(canvas.width, canvas.height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.covered = new Float32Array(canvas.width);
  }

  line(number) {
    const { pixels, covered, ratio, width, colourOfDust } = this;
    const start = number * width;
    covered.fill(0);
    return {
      fill(left, right, colour) {
        const from = Math.max(0, Math.round(left * ratio));
        pixels.fill(packedColour(colour), start + from, start + Math.min(width, Math.max(from + 1, Math.round(right * ratio))));
      },
      // invisibly narrow bars are grey where there are enough of them: a gap would look empty
      dust(left, size) {
        const at = Math.max(0, Math.floor(left * ratio));
        if (at >= width) return;
        covered[at] += size * ratio;
        if (covered[at] >= NARROWEST_PX && !pixels[start + at]) pixels[start + at] = colourOfDust;
      },
    };
  }

  draw(context, tops, width) {
    this.context.putImageData(this.image, 0, 0);
    context.imageSmoothingEnabled = false;
    tops.forEach((top, row) => context.drawImage(this.canvas, 0, row, this.width, 1, 0, top, width, ROW_PX - 1));
  }
}

const packedColours = new Map();

// "#rrggbb" as the four bytes of a pixel
function packedColour(colour) {
  let packed = packedColours.get(colour);
  if (packed === undefined) {
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
    [packed] = new Uint32Array(Uint8Array.of(red, green, blue, 255).buffer);
    packedColours.set(colour, packed);
  }
  return packed;
}
