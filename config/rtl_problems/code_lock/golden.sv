module code_lock (
  input  logic        clk,
  input  logic        rst,
  input  logic        key_valid,
  input  logic [3:0]  key,
  input  logic [15:0] code,
  output logic        open,
  output logic        blocked
);
  logic [1:0] position, failures;
  logic       right;
  logic [3:0] digit;

  assign digit = position == 2'd0 ? code[15:12] : position == 2'd1 ? code[11:8] : position == 2'd2 ? code[7:4] : code[3:0];

  always_ff @(posedge clk) begin
    if (rst) begin
      position <= 2'd0;
      failures <= 2'd0;
      right    <= 1'b1;
      open     <= 1'b0;
      blocked  <= 1'b0;
    end else if (key_valid && open) begin
      open <= 1'b0;  // closed
    end else if (key_valid && !blocked) begin
      position <= position + 2'd1;
      right    <= right && key == digit;
      if (position == 2'd3) begin
        right <= 1'b1;
        if (right && key == code[3:0]) begin
          open     <= 1'b1;
          failures <= 2'd0;  // success
        end else begin
          failures <= failures + 2'd1;
          blocked  <= failures == 2'd2;
        end
      end
    end
  end
endmodule
