module square_root (
  input  logic        clk,
  input  logic        rst,
  input  logic        start,
  input  logic [15:0] value,
  output logic        busy,
  output logic        done,
  output logic [7:0]  root,
  output logic [8:0]  remainder
);
  logic [15:0] rest;
  logic [10:0] taken, reduced;
  logic [9:0]  trial;
  logic [2:0]  count;
  logic        fits, unused;

  // two bits of the value, one bit of the root a step, as on paper
  assign taken   = {remainder, rest[15:14]};
  assign trial   = {root, 2'b01};
  assign fits    = taken >= {1'b0, trial};
  assign reduced = taken - {1'b0, trial};
  assign unused  = ^{reduced[10:9], taken[10:9]};

  always_ff @(posedge clk) begin
    done <= 1'b0;
    if (rst) begin
      busy <= 1'b0;
    end else if (start && !busy) begin
      busy      <= 1'b1;
      rest      <= value;
      root      <= 8'd0;
      remainder <= 9'd0;
      count     <= 3'd0;
    end else if (busy) begin
      rest      <= rest << 2;
      root      <= {root[6:0], fits};
      remainder <= fits ? reduced[8:0] : taken[8:0];
      count     <= count + 3'd1;
      if (count == 3'd7) begin
        busy <= 1'b0;
        done <= 1'b1;
      end
    end
  end
endmodule
